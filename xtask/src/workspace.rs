//! Where things are: the root, the target directory, and what `cargo metadata` says of the members.
//!
//! Must not guess a path: everything comes from cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

/// The workspace as cargo sees it.
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Reads `cargo metadata` of the workspace that xtask itself belongs to, wherever it is called from.
    pub(crate) fn load() -> Result<Self, String> {
        // Asked when it runs, not when it is compiled: checkouts that share a target directory may share the binary.
        let folder = std::env::var_os("CARGO_MANIFEST_DIR")
            .ok_or("call it as `cargo xtask`: CARGO_MANIFEST_DIR is not set")?;
        let manifest = Path::new(&folder).join("../Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .exec()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        Ok(Self { metadata })
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.metadata.target_directory.clone().into_std_path_buf()
    }

    /// The cargo that called us, standing in the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(self.root());
        command
    }
}
