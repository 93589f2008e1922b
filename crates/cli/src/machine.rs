//! The machine and the process in which a command runs, by which others are told who holds a lease, and whether somebody there still
//! can. Must not know what a lease is for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ecspipe_provision::lease::Process;

/// Says whether a process is known to have ended.
pub type HasEnded = Arc<dyn Fn(&Process) -> bool + Send + Sync>;

/// The machine and the process.
#[derive(Clone)]
pub struct Machine {
    /// The machine's name.
    pub host: String,
    /// This process.
    pub process: Process,
    /// Whether another one of this machine is known to have ended.
    pub has_ended: HasEnded,
    runs: Arc<AtomicU64>,
}

impl Machine {
    /// The real ones.
    pub(crate) fn of_process(env: &BTreeMap<String, String>) -> Self {
        let id = std::process::id();
        let table = table();
        let process = Process {
            id,
            started: started(id).unwrap_or_default(),
            table: table.clone().unwrap_or_default(),
        };
        Self {
            host: host(env),
            process,
            has_ended: Arc::new(move |other| {
                table.as_ref().is_some_and(|table| ended(other, table))
            }),
            runs: Arc::default(),
        }
    }

    /// One for tests: a process of its own, which has ended when nothing is left of this value.
    pub(crate) fn made_up() -> Self {
        let mut processes = MADE_UP.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = Arc::default();
        processes.push(Arc::downgrade(&runs));
        let process = Process {
            id: u32::try_from(processes.len()).unwrap_or(u32::MAX),
            table: "made up".to_owned(),
            started: String::new(),
        };
        Self {
            host: "a-machine".to_owned(),
            process,
            has_ended: Arc::new(made_up_has_ended),
            runs,
        }
    }

    /// A number that no other run of this process has.
    pub(crate) fn next_run(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::Relaxed)
    }
}

/// The processes that were made up, by their numbers from 1 on.
static MADE_UP: Mutex<Vec<Weak<AtomicU64>>> = Mutex::new(Vec::new());

fn made_up_has_ended(other: &Process) -> bool {
    let processes = MADE_UP.lock().unwrap_or_else(PoisonError::into_inner);
    let place = usize::try_from(other.id)
        .ok()
        .and_then(|id| id.checked_sub(1));
    let process = place.and_then(|place| processes.get(place));
    other.table == "made up" && process.is_some_and(|process| process.strong_count() == 0)
}

/// As the system says, or the environment.
fn host(env: &BTreeMap<String, String>) -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let asked = || {
        let answer = std::process::Command::new("hostname").output().ok()?;
        String::from_utf8(answer.stdout).ok()
    };
    let of_env = || {
        let names = ["HOSTNAME", "COMPUTERNAME"];
        names.iter().find_map(|name| env.get(*name).cloned())
    };
    let named = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    of_kernel
        .and_then(named)
        .or_else(|| of_env().and_then(named))
        .or_else(|| asked().and_then(named))
        .unwrap_or_else(|| "a machine without a name".to_owned())
}

/// Which processes this one can see: those of one boot, one namespace and one user. Only Linux says all of that; elsewhere a lease
/// runs out by itself.
fn table() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let user = user.split_whitespace().next()?;
    Some(format!("{} {} {user}", boot.trim(), namespace.display()))
}

/// When the process began, in ticks since the boot: the twentieth field behind its name, which is in brackets and may hold any.
fn started(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(ToOwned::to_owned)
}

/// Whether `other`, of the same table, is there no more, or is another process by now.
fn ended(other: &Process, table: &str) -> bool {
    other.table == table
        && !other.started.is_empty()
        && started(other.id).as_ref() != Some(&other.started)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_works() {
        let machine = Machine::of_process(&BTreeMap::new());
        assert!(!machine.host.is_empty());
        assert!(!(machine.has_ended)(&machine.process));

        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let other = Process {
            id: child.id(),
            started: started(child.id()).unwrap(),
            ..machine.process.clone()
        };
        assert!(!(machine.has_ended)(&other));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!((machine.has_ended)(&other));

        // Its number has gone to another process.
        let reused = Process {
            id: machine.process.id,
            ..other.clone()
        };
        assert!((machine.has_ended)(&reused));
        // Of another machine, or another user there, nothing is known.
        let elsewhere = Process {
            table: "elsewhere".to_owned(),
            ..other
        };
        assert!(!(machine.has_ended)(&elsewhere));
    }
}
