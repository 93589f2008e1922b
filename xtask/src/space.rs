//! Room on the disk for a run of everything: what this workspace left behind makes way before it runs out.
//!
//! Must not end the run: how much it takes depends on what is compiled already, and is only guessed here.

use crate::{process, workspace::Workspace};

const GIB: u64 = 1 << 30;

/// What a run writes beside dependencies that are compiled already: the workspace's own crates checked, documented and
/// linked into some twenty test programs of 250 MB each.
const NEEDED: u64 = 12 * GIB;

/// What may go, the cheapest to make again first. Artifacts of other checkouts, older lock files and profiles pile up in a
/// target directory that outlives the checkouts; cargo doesn't collect them.
const WAYS: [&[&str]; 2] = [&["clean", "--workspace"], &["clean"]];

/// Clears the target directory, as far as it must be, for [`NEEDED`] to be free.
pub(crate) fn make(workspace: &Workspace) -> Result<(), String> {
    make_with(
        || {
            std::fs::create_dir_all(workspace.target())
                .and_then(|()| fs4::available_space(workspace.target()))
                .map_err(|error| format!("free space of {}: {error}", workspace.target().display()))
        },
        |way| process::run(workspace.cargo().args(way)),
    )
}

fn make_with(
    free: impl Fn() -> Result<u64, String>,
    mut clear: impl FnMut(&[&str]) -> Result<(), String>,
) -> Result<(), String> {
    for way in WAYS {
        let free = free()?;
        if free >= NEEDED {
            return Ok(());
        }
        eprintln!(
            "only {} of {} free: cargo {}",
            gib(free),
            gib(NEEDED),
            way.join(" ")
        );
        clear(way)?;
    }
    let free = free()?;
    if free < NEEDED {
        eprintln!(
            "warning: {} free, and {} may be needed: free some, or set CARGO_TARGET_DIR to another disk",
            gib(free),
            gib(NEEDED)
        );
    }
    Ok(())
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// What is carried out where `free` is free at first and each way frees `freed` more.
    fn check(free: u64, freed: u64, expected: &[&str]) {
        let (free, done) = (Cell::new(free * GIB), RefCell::new(Vec::new()));
        make_with(
            || Ok(free.get()),
            |way| {
                free.set(free.get() + freed * GIB);
                done.borrow_mut().push(way.join(" "));
                Ok(())
            },
        )
        .expect("room is made");
        assert_eq!(*done.borrow(), expected);
    }

    #[test]
    fn only_what_must_go_goes() {
        check(12, 0, &[]);
        check(11, 1, &["clean --workspace"]);
        check(0, 6, &["clean --workspace", "clean"]);
        check(0, 0, &["clean --workspace", "clean"]);
    }
}
