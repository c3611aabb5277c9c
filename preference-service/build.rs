//! Makes cargo look again when a migration is added, since `migrate!` reads the folder.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
