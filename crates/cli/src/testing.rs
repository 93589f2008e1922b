//! A run of the command line as a test sees it. Must not reach beyond its folder.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::world::World;

/// What one run printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `ecspipe` with `args` in `folder`; `change` sets what the run finds around it.
pub(crate) async fn run(
    folder: &Path,
    args: &[&str],
    change: impl FnOnce(&mut World),
) -> Transcript {
    let (out, err) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let mut world = World::for_test(folder.to_path_buf(), Arc::clone(&out), Arc::clone(&err));
    change(&mut world);
    let args = std::iter::once("ecspipe")
        .chain(args.iter().copied())
        .map(Into::into);
    let code = crate::run(args, &world).await;
    Transcript {
        code,
        out: text(&out),
        err: text(&err),
    }
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    let bytes = bytes
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}
