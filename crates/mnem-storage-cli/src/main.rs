//! `mnem-store`, with the backends of this build.

fn main() -> std::process::ExitCode {
    mnem_storage_cli::run(mnem_storage_cli::DRIVERS.iter().copied())
}
