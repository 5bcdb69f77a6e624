//! What do the benches share? Rounds that alternate, and legs in processes of their own.
//!
//! Every figure is a ratio to a named opponent of the same run: the machine may be busy, but it is so for both.

#![allow(dead_code, unused_imports, reason = "each bench uses its part")]

mod cpu;
mod rounds;

use std::path::Path;

pub use cpu::{child, children_cpu, leg, own_cpu};
pub use rounds::{Contest, Figures};

/// The workspace's root.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = package.ancestors();
    folders
        .find(|folder| folder.join("Cargo.lock").exists())
        .expect("the package lies in the workspace")
}

/// The number behind a flag, such as `--records 100000`.
pub fn number(flag: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag);
    match arguments.nth(1) {
        Some(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("{flag} takes a number")),
        None => default,
    }
}

/// A folder on the disk that the workspace is on: the temporary one may be memory, where a sync costs nothing.
pub fn scratch(name: &str) -> tempfile::TempDir {
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).expect("a folder");
    tempfile::Builder::new()
        .prefix(name)
        .tempdir_in(folder)
        .expect("a folder")
}

/// The kind of file system that a folder is on: `ext4`, `tmpfs`.
pub fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").expect("needs Linux");
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    let (_, kind) = above
        .max_by_key(|(point, _)| point.len())
        .expect("a folder is on a file system");
    kind.to_owned()
}

/// Whether cargo only wants to know that the bench starts (`cargo test` runs benches so).
pub fn is_test() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}
