//! Says when the embedded console is to be embedded anew.

use std::path::Path;

fn main() {
    // Cargo takes a watched path that does not exist for changed at each build: without a built console
    // the folder that it would appear in is watched.
    let folder = match Path::new("../../console/dist").is_dir() {
        true => "../../console/dist",
        false => "../../console",
    };
    println!("cargo::rerun-if-changed={folder}");
}
