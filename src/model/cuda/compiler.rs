//! NVRTC, NVIDIA's compiler as a library: a libtorch with CUDA loads it, and it is taken from there.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use libloading::os::unix::Library;

use super::CudaError;

type Program = *mut c_void;

/// What the library is called, for each version of CUDA that PyTorch 2.13 is built for.
const NAMES: [&str; 2] = ["libnvrtc.so.13", "libnvrtc.so.12"];

/// The functions of nvrtc.h that are needed; every one returns 0 for success.
pub struct Compiler {
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    log: Output,
    machine_code: Output,
    assembly: Output,
    count_supported: unsafe extern "C" fn(*mut c_int) -> c_int,
    supported: unsafe extern "C" fn(*mut c_int) -> c_int,
}

/// Size and bytes of one result of a program.
struct Output {
    size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    bytes: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
}

impl Output {
    /// # Safety
    /// `program` must be one that NVRTC made and did not destroy.
    unsafe fn of(&self, program: Program) -> Option<Vec<u8>> {
        let mut size = 0;
        if unsafe { (self.size)(program, &mut size) } != 0 {
            return None;
        }
        let mut bytes = vec![0u8; size];
        (unsafe { (self.bytes)(program, bytes.as_mut_ptr().cast()) } == 0).then_some(bytes)
    }
}

impl Compiler {
    /// The compiler among the libraries that this process has loaded, or, where libtorch keeps it to itself or loads it late,
    /// where the dynamic loader finds it.
    ///
    /// # Errors
    /// [`CudaError::Library`] for a libtorch without CUDA.
    pub fn loaded() -> Result<Compiler, CudaError> {
        Compiler::of(Library::this()).or_else(|error| {
            // SAFETY: NVIDIA's libraries may be loaded at any time.
            let found = NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
            found.map_or(Err(error), Compiler::of)
        })
    }

    fn of(library: Library) -> Result<Compiler, CudaError> {
        let library = std::mem::ManuallyDrop::new(library);
        let output = |size: &CStr, bytes: &CStr| -> Result<Output, libloading::Error> {
            // SAFETY: the types are those of nvrtc.h. The library is never unloaded.
            unsafe {
                Ok(Output {
                    size: *library.get(size.to_bytes_with_nul())?,
                    bytes: *library.get(bytes.to_bytes_with_nul())?,
                })
            }
        };
        // SAFETY: as above.
        let load = || unsafe {
            Ok(Compiler {
                create: *library.get(b"nvrtcCreateProgram\0")?,
                compile: *library.get(b"nvrtcCompileProgram\0")?,
                destroy: *library.get(b"nvrtcDestroyProgram\0")?,
                log: output(c"nvrtcGetProgramLogSize", c"nvrtcGetProgramLog")?,
                machine_code: output(c"nvrtcGetCUBINSize", c"nvrtcGetCUBIN")?,
                assembly: output(c"nvrtcGetPTXSize", c"nvrtcGetPTX")?,
                count_supported: *library.get(b"nvrtcGetNumSupportedArchs\0")?,
                supported: *library.get(b"nvrtcGetSupportedArchs\0")?,
            })
        };
        load().map_err(|source| CudaError::Library { name: "NVRTC", source })
    }

    /// Code for `source` on an architecture such as `sm_90`: machine code, or, for one that is newer than this compiler,
    /// assembly for the newest that it knows, which the driver translates.
    ///
    /// # Errors
    /// [`CudaError::Compile`] with what the compiler says.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Vec<u8>, CudaError> {
        let wanted = architecture.strip_prefix("sm_").and_then(|number| number.parse::<c_int>().ok());
        let translated = match self.newest() {
            Some(newest) if wanted > Some(newest) => {
                self.translate(source, &format!("compute_{newest}"), &[], &self.assembly)
            }
            _ => self.translate(source, architecture, &[], &self.machine_code),
        };
        translated.map(|(code, _)| code)
    }

    /// The newest architecture that it knows, 90 for `sm_90`.
    fn newest(&self) -> Option<c_int> {
        let mut count = 0;
        // SAFETY: the first call writes one number, the second as many as the first said.
        unsafe {
            ((self.count_supported)(&mut count) == 0).then_some(())?;
            let mut known = vec![0; count.max(0) as usize];
            ((self.supported)(known.as_mut_ptr()) == 0).then_some(())?;
            known.into_iter().max()
        }
    }

    /// What `output` is of the program, and what the compiler said.
    fn translate(
        &self,
        source: &str,
        architecture: &str,
        more: &[&str],
        output: &Output,
    ) -> Result<(Vec<u8>, String), CudaError> {
        let failed = |reason: &str| CudaError::Compile { architecture: architecture.into(), reason: reason.into() };
        let text = |text: &str| CString::new(text).map_err(|_| failed("a zero in the text"));
        let source = text(source)?;
        // Products and sums are fused where the text says so, as in the vector forms for CPUs.
        let options = [&format!("--gpu-architecture={architecture}"), "--std=c++17", "--fmad=false"];
        let options: Vec<CString> =
            options.into_iter().chain(more.iter().copied()).map(text).collect::<Result<_, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let none = std::ptr::null();
        let mut program = std::ptr::null_mut();
        // SAFETY: texts end in zero and outlive the calls; the program is destroyed once, after its last use.
        unsafe {
            if (self.create)(&mut program, source.as_ptr(), c"kernels.cu".as_ptr(), 0, none, none) != 0 {
                return Err(failed("the program cannot be made"));
            }
            let status = (self.compile)(program, options.len() as c_int, options.as_ptr());
            let log = self.log.of(program).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
            let result = if status == 0 { output.of(program) } else { None };
            (self.destroy)(&mut program);
            let reason = || failed(log.lines().find(|line| line.contains("error")).unwrap_or("no reason given"));
            Ok((result.ok_or_else(reason)?, log))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, Arithmetic, Elementwise, Interval, MaxPool, Series, Spec, Window};

    /// None, with a line that says so, for a libtorch without CUDA.
    fn compiler() -> Option<Compiler> {
        let compiler = Compiler::loaded();
        if compiler.is_err() {
            println!("skipped: this libtorch has no NVRTC");
        }
        compiler.ok()
    }

    fn designed(spec: &str) -> Activation {
        Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    fn occurrences(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    /// The assembly has as many fused operations as the polynomial asks for, calls nothing and keeps all in registers.
    fn check(compiler: &Compiler, source: &str, fused: [usize; 2], name: &str) {
        let newest = compiler.newest().unwrap();
        // CUDA 13 knows no devices before 75.
        for architecture in [70, 80, 90, 120].into_iter().filter(|&one| one <= newest && (one > 70 || newest < 121)) {
            let translate = |kind: &str, more: &[&str], output: &Output| {
                compiler.translate(source, &format!("{kind}_{architecture}"), more, output).unwrap()
            };
            let (assembly, _) = translate("compute", &[], &compiler.assembly);
            let assembly = String::from_utf8(assembly).unwrap();
            let found = ["fma.rn.f64", "fma.rn.f32"].map(|operation| occurrences(&assembly, operation));
            assert_eq!(found, fused, "{name} on {architecture}");
            assert_eq!(occurrences(&assembly, ".local"), 0, "{name} on {architecture}");
            assert_eq!(occurrences(&assembly, "call"), 0, "{name} on {architecture}");
            let (code, log) = translate("sm", &["--ptxas-options=-v"], &compiler.machine_code);
            assert!(code.starts_with(b"\x7fELF"));
            let in_registers = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";
            assert!(log.contains(in_registers), "{name} on {architecture}: {log}");
        }
    }

    /// `times` the operations of `site`, in its arithmetic.
    fn fused(site: &Elementwise, times: usize) -> [usize; 2] {
        let fused = times * site.operations().fused;
        if site.arithmetic() == Arithmetic::F64 { [fused, 0] } else { [0, fused] }
    }

    #[test]
    fn the_kernels_compile_to_nothing_but_the_arithmetic_of_the_polynomials() {
        let Some(compiler) = compiler() else { return };
        for arithmetic in [Arithmetic::F64, Arithmetic::F32] {
            let designed = |spec: &str| Activation::design_in(&spec.parse().unwrap(), arithmetic).unwrap().unwrap();
            let series = |degree: usize, channels: usize| {
                let series = Series { low: -1.0, high: 3.0, coefficients: vec![0.5; degree + 1] };
                Elementwise::series(&vec![series; channels], arithmetic)
            };
            for (name, site) in [
                ("paper:14", Elementwise::relu(&designed("paper:14"), 10.0)),
                ("leastsq:127, six", Elementwise::relu6(&designed("leastsq:127"), 10.0)),
                ("aq", Elementwise::relu(&designed("aq"), 10.0)),
                ("degree 127", series(127, 1)),
                ("degree 31 in 64 channels", series(31, 64)),
            ] {
                let source = site.cuda_source::<f32>();
                // A thread has several values.
                let each = if source.contains("constexpr int each = 2;") { 2 } else { 4 };
                check(&compiler, &source, fused(&site, each), &format!("{name} in {arithmetic}"));
            }
            for (spec, kernel, matches) in [("paper:14", [3, 3], 8), ("paper:4", [5, 5], 24), ("leastsq:15", [2, 2], 3)]
            {
                let window = Window { kernel, stride: [2; 2], padding: [0; 2], dilation: [1; 2], ceil_mode: false };
                let pool = MaxPool::new(&designed(spec), Interval::symmetric(10.0), window, false).unwrap();
                let fused = fused(&Elementwise::relu(&designed(spec), 10.0), matches);
                check(&compiler, &pool.cuda_source::<f64>(), fused, &format!("{spec} {kernel:?} in {arithmetic}"));
            }
        }
    }

    #[test]
    fn devices_newer_than_the_compiler_are_given_assembly() {
        let Some(compiler) = compiler() else { return };
        let source = Elementwise::relu(&designed("paper:7"), 1.0).cuda_source::<f32>();
        let newest = compiler.newest().unwrap();
        assert!(newest >= 90, "{newest}");
        assert!(compiler.compile(&source, &format!("sm_{newest}")).unwrap().starts_with(b"\x7fELF"));
        let code = compiler.compile(&source, &format!("sm_{}", newest + 1)).unwrap();
        let text = CStr::from_bytes_with_nul(&code).unwrap().to_str().unwrap();
        assert!(text.contains(&format!(".target sm_{newest}")) && text.contains(".entry elementwise"), "{text}");
    }

    #[test]
    fn what_cannot_be_compiled_is_told_in_one_line() {
        let Some(compiler) = compiler() else { return };
        let error =
            compiler.compile("extern \"C\" __global__ void relu() { nothing; }", "sm_90").unwrap_err().to_string();
        assert!(error.contains("sm_90") && error.contains("nothing") && !error.contains('\n'), "{error}");
        let error = compiler.compile("", "sm_10").unwrap_err().to_string();
        assert!(error.contains("sm_10") && error.contains("architecture"), "{error}");
    }
}
