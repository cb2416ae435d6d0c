//! What holds for the whole process: memory, threads, instructions, precision.

use crate::activation::Isa;
use crate::model;

/// Made from the command line, and put into force once, by the program, before there is a second thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Threads for the network, and as many for decoding; as many as the machine has cores if none is said.
    pub threads: Option<i32>,
    /// The widest instructions of the activations on the CPU; the widest there are if none is said.
    pub instructions: Option<Isa>,
    /// Whether CUDA may use TF32.
    pub tf32: bool,
}

impl Settings {
    /// Put them into force.
    pub fn apply(self) {
        model::keep_memory();
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
            // Fails only where the pool is there already, and this is its first use.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global();
        }
        if let Some(isa) = self.instructions {
            isa.limit();
        }
        model::allow_tf32(self.tf32);
    }
}
