//! Builds the bridges to libtorch's C++ and to libjpeg, and links libtorch whole, with a run path, so that the binary needs no
//! environment variable. Without the feature `libtorch` there is nothing to do.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "libtorch")]
    libtorch::build();
}

#[cfg(feature = "libtorch")]
mod libtorch {
    use std::path::{Path, PathBuf};

    /// The version that the `tch` crate is written for.
    const VERSION: &str = "2.13.0";

    /// The C++ side of `src/model`.
    const CPP: [&str; 16] = [
        "archive", "convolution", "forks", "graph", "layout", "libtorch", "naming", "network", "operator", "output",
        "segments", "steady", "strides", "swap", "weights", "writes",
    ];

    pub fn build() {
        // torch-sys says where it found libtorch, to its direct dependents only.
        let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's folder"));
        let include = lib.parent().expect("libtorch/lib has a parent").join("include");
        check_version(&include);
        println!("cargo:rustc-env=POLYACT_LIBTORCH={VERSION}");
        if is_for_lints() {
            return;
        }

        let jpeg = std::env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys names its headers' folder");
        cxx_build::bridge("src/dataset/picture/jpeg.rs")
            .file("src/dataset/picture/jpeg.cpp")
            .std("c++17")
            .flag("-isystem")
            .flag(jpeg)
            .compile("polyact_picture");
        for file in ["jpeg.rs", "jpeg.h", "jpeg.cpp"] {
            println!("cargo:rerun-if-changed=src/dataset/picture/{file}");
        }

        cxx_build::bridges(["src/model/libtorch.rs", "src/model/bridge.rs"])
            .files(CPP.map(|name| format!("src/model/{name}.cpp")))
            .std("c++17")
            .flag("-isystem")
            .flag(include.to_str().expect("libtorch's path is UTF-8"))
            .flag("-isystem")
            .flag(include.join("torch/csrc/api/include").to_str().expect("libtorch's path is UTF-8"))
            .define("_GLIBCXX_USE_CXX11_ABI", "1")
            // at::parallel_for is a template over OpenMP: without this flag it runs on one thread.
            .flag("-fopenmp")
            // GCC 12 sees overflows in libtorch's own reference counts.
            .flag_if_supported("-Wno-stringop-overflow")
            .compile("polyact_bridge");
        for name in CPP {
            println!("cargo:rerun-if-changed=src/model/{name}.cpp");
            println!("cargo:rerun-if-changed=src/model/{name}.h");
        }
        for bridge in ["bridge", "libtorch"] {
            println!("cargo:rerun-if-changed=src/model/{bridge}.rs");
        }

        println!("cargo:rustc-link-search=native={}", lib.display());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        // The linker drops libtorch_cuda, which nothing names directly, and CUDA would read as absent.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        // The program that runs no networks names nothing of libtorch and must not load it. What it exports counts as named: by
        // default all that libtorch has as well, such as instances of C++ templates.
        for arguments in ["--as-needed", "--exclude-libs,ALL"] {
            println!("cargo:rustc-link-arg-bin=polyact=-Wl,{arguments}");
        }
        println!("cargo:rustc-link-arg=-ltorch");
    }

    /// Whether cargo runs a linter, which links nothing.
    fn is_for_lints() -> bool {
        let wrapper = std::env::var_os("RUSTC_WORKSPACE_WRAPPER").map(PathBuf::from);
        wrapper.and_then(|path| Some(path.file_stem()? == "clippy-driver")).unwrap_or(false)
    }

    fn check_version(include: &Path) {
        let header = include.join("torch/headeronly/version.h");
        let text = std::fs::read_to_string(&header).unwrap_or_else(|error| {
            panic!("no libtorch {VERSION} here: {}: {error}; run scripts/setup, or set LIBTORCH", header.display())
        });
        let number = |part: &str| {
            let name = format!("#define TORCH_VERSION_{part} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("?").trim().to_owned()
        };
        let found = ["MAJOR", "MINOR", "PATCH"].map(number).join(".");
        if found != VERSION {
            panic!("polyact needs libtorch {VERSION}, and {} is {found}", include.display());
        }
    }
}
