//! `polyact doctor`: what this program can do on this machine, and what is missing for the rest.

use clap::Args;
use serde::Serialize;

use super::{Failure, print};
use crate::activation::Isa;
#[cfg(feature = "libtorch")]
use crate::model::Machine;

/// Tell what there is here of libtorch, CUDA, devices and instructions, and what is missing for what
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  polyact doctor
  polyact doctor --json

Something that is missing is no error: the exit code is 0.";

/// What is asked of a machine.
#[derive(Serialize)]
struct Findings {
    version: &'static str,
    /// None in a build without it.
    libtorch: Option<Libtorch>,
    cores: usize,
    /// The widest last, which is used.
    instructions: Vec<String>,
    cuda_devices: Vec<CudaDevice>,
    uses: Vec<Use>,
}

#[derive(Serialize)]
struct Libtorch {
    version: String,
    folder: Option<String>,
    /// The version that it is built for.
    cuda: Option<String>,
    onednn: bool,
    threads: usize,
}

#[derive(Serialize)]
struct CudaDevice {
    device: String,
    architecture: Option<String>,
}

/// One thing to do here, and why it cannot be done, or not well.
#[derive(Serialize)]
struct Use {
    what: &'static str,
    missing: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let findings = findings();
    print(&match arguments.json {
        true => serde_json::to_string_pretty(&findings)? + "\n",
        false => for_people(&findings),
    })
}

const NETWORKS: &str = "inspect, calibrate, eval, sweep, plan, cost, export, reproduce";

fn basic() -> Findings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let instructions = Isa::present().map(|isa| isa.to_string()).collect();
    let version = env!("CARGO_PKG_VERSION");
    let uses = vec![Use { what: "design, search, report", missing: None }];
    Findings { version, libtorch: None, cores, instructions, cuda_devices: Vec::new(), uses }
}

#[cfg(not(feature = "libtorch"))]
fn findings() -> Findings {
    let mut findings = basic();
    let missing = "this build has no libtorch; build it with the feature `libtorch`, which is on by default".to_owned();
    findings.uses.push(Use { what: NETWORKS, missing: Some(missing) });
    findings
}

#[cfg(feature = "libtorch")]
fn findings() -> Findings {
    let machine = Machine::here();
    let mut findings = basic();
    let devices = machine.devices.into_iter().enumerate();
    findings.cuda_devices =
        devices.map(|(index, architecture)| CudaDevice { device: format!("cuda:{index}"), architecture }).collect();
    findings.libtorch = Some(Libtorch {
        version: machine.libtorch.to_owned(),
        folder: machine.folder.map(|folder| folder.display().to_string()),
        cuda: machine.cuda,
        onednn: machine.has_onednn,
        threads: machine.threads,
    });
    let slow = "libtorch has no oneDNN: convolutions take longer".to_owned();
    let no_kernels = |reason| format!("tensor operations take the place of the kernels, which is slower: {reason}");
    let cuda = machine.no_device.or_else(|| machine.no_kernels.map(no_kernels));
    findings.uses.extend([
        Use { what: NETWORKS, missing: (!machine.has_onednn).then_some(slow) },
        Use { what: "--device cuda", missing: cuda },
    ]);
    findings
}

fn for_people(findings: &Findings) -> String {
    let mut lines = vec![("polyact", findings.version.to_owned())];
    match &findings.libtorch {
        None => lines.push(("libtorch", "not in this build".to_owned())),
        Some(libtorch) => {
            let cuda =
                libtorch.cuda.as_ref().map_or("without CUDA".to_owned(), |version| format!("for CUDA {version}"));
            let onednn = if libtorch.onednn { "with oneDNN" } else { "without oneDNN" };
            lines.push(("libtorch", format!("{}, {cuda}, {onednn}", libtorch.version)));
            lines.extend(libtorch.folder.iter().map(|folder| ("", folder.clone())));
        }
    }
    let threads = findings.libtorch.as_ref().map_or(findings.cores, |libtorch| libtorch.threads);
    let instructions = findings.instructions.iter().rev().cloned().collect::<Vec<_>>().join(", ");
    lines.push(("processor", format!("{} cores, {threads} threads for networks", findings.cores)));
    lines.push(("instructions", format!("{instructions} (--instructions takes another than the first)")));
    for CudaDevice { device, architecture } in &findings.cuda_devices {
        lines.push(("device", format!("{device} {}", architecture.as_deref().unwrap_or("(architecture unknown)"))));
    }
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect();
    let width = findings.uses.iter().map(|one| one.what.len()).max().unwrap_or(0);
    text.push('\n');
    for Use { what, missing } in &findings.uses {
        text += &match missing {
            None => format!("{what:<width$}  ready\n"),
            Some(reason) => format!("{what:<width$}  {reason}\n"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_beside_what_it_is_missing_for() {
        let mut findings = Findings { instructions: vec!["portable".into(), "avx2".into()], cores: 3, ..basic() };
        findings.uses.push(Use { what: "--device cuda", missing: Some("no driver; install it".into()) });
        let text = for_people(&findings);
        assert!(text.contains("instructions  avx2, portable ("), "{text}");
        assert!(text.contains("design, search, report  ready\n"), "{text}");
        assert!(text.contains("--device cuda           no driver; install it\n"), "{text}");
        assert!(text.contains("3 cores, 3 threads"), "{text}");
    }
}
