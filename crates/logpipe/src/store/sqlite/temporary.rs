//! A folder that goes away with its last user.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::Context;

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("logpipe-{}", uuid::Uuid::new_v4()));
        crate::db::create_private_dir(&folder).context(format_args!(
            "making the temporary folder {}",
            folder.display()
        ))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where the file is still open and the system minds that, a folder is left in the system's temporary one.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
