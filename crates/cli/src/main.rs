//! The command `ecspipe`: hands arguments, environment and terminal to the library, and exits with its code.
//! Must not hold any logic: that is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let world = ecspipe::World::of_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            #[allow(
                clippy::print_stderr,
                reason = "there is no world yet to print through"
            )]
            {
                eprintln!("error: cannot start: {error}");
            }
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(async {
        world.watch_signals();
        ecspipe::run(std::env::args_os(), &world).await
    });
    // Requests that were given up must not hold the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}
