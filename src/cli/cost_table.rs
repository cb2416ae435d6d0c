//! `--costs TABLE` of `design` and `search`: the names of the cost tables, as clap reads and explains them.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::minimax::CostTable;

impl ValueEnum for CostTable {
    fn value_variants<'a>() -> &'a [CostTable] {
        &CostTable::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            CostTable::Published => "The least depth, with the products of ePrint 2020/834 and 2020/1203",
            CostTable::Lattigo => {
                "Lattigo 6.2, which takes more products for some degrees, as it does not use that a stage is odd"
            }
            CostTable::OpenFhe => {
                "EvalChebyshevSeries of OpenFHE 1.5 on [-1,1], which takes one level more for some degrees"
            }
            CostTable::Best => "The least depth with the fewest products known: one less for degrees 7, 15 and 31",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}
