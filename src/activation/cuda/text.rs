//! Formulas as text: the machine that writes each operation down as a statement of C++.

use std::cell::RefCell;
use std::fmt::Write;

use super::super::Arithmetic;
use super::super::form::{Blocked, Form, Formula, Machine, Visitor, Whole};

/// What is written so far. Values are expressions, of the arrays of n numbers that a thread computes side by side.
#[derive(Default)]
struct Text {
    statements: RefCell<String>,
    variables: RefCell<usize>,
}

impl Text {
    /// The name of a new variable with this value.
    fn assign(&self, expression: &str) -> String {
        let number = self.variables.replace_with(|&mut number| number + 1);
        let _ = writeln!(self.statements.borrow_mut(), "  number v{number}[n];\n  EACH v{number}[k] = {expression};");
        format!("v{number}[k]")
    }
}

impl Machine for Text {
    type Value = String;

    fn constant(&self, constant: f64) -> String {
        // The shortest decimal that reads back to the same number.
        format!("number({constant:e})")
    }

    fn parameter(&self, at: usize) -> String {
        format!("p({at}, k)")
    }

    fn add(&self, a: &String, b: &String) -> String {
        self.assign(&format!("{a} + {b}"))
    }

    fn sub(&self, a: &String, b: &String) -> String {
        self.assign(&format!("{a} - {b}"))
    }

    fn mul(&self, a: &String, b: &String) -> String {
        self.assign(&format!("{a} * {b}"))
    }

    fn mul_add(&self, a: &String, b: &String, c: &String) -> String {
        self.assign(&format!("fma({a}, {b}, {c})"))
    }
}

struct Written;

impl Visitor for Written {
    type Result = String;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> String {
        let text = Text::default();
        let (value, parameters) = formula.value(&text, 0, &"x[k]".to_owned());
        let statements = text.statements.into_inner();
        format!(
            "constexpr int parameters = {parameters};\n\n\
             // y <- f(x), n values at a time to hide latency, with parameter i of the k-th p(i, k).\n\
             template <int n, typename Parameters>\n\
             __device__ __forceinline__ void formula(const number (&x)[n], number (&y)[n], const Parameters& p) {{\n\
             {statements}  EACH y[k] = {value};\n}}\n"
        )
    }
}

/// The function `formula` of `form`, with the type `number` that it is computed in.
pub(super) fn of(form: &Form, arithmetic: Arithmetic) -> String {
    let number = match arithmetic {
        Arithmetic::F64 => "double",
        Arithmetic::F32 => "float",
    };
    format!("using number = {number};\n{EACH}{}", form.visit(arithmetic, Written))
}

const EACH: &str = "#define EACH _Pragma(\"unroll\") for (int k = 0; k < n; ++k)\n";
