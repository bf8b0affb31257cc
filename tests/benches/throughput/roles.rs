//! The parts that this program plays as a child of itself.

use std::path::PathBuf;
use std::process::ExitCode;

use stint_common::config::NatsConfig;
use stint_common::metrics::{self, Role};
use stint_worker::forward;
use stint_worker::runtime::noop::NoopRuntime;
use stint_worker::runtime::process::{launcher, watchdog, with_main_thread};
use stint_worker::serve::{Config, Stop};
use stint_worker::supervisor;
use tokio_util::sync::CancellationToken;

/// Plays the part that the arguments name, if they name one.
pub(crate) fn play(arguments: &[String]) -> Option<ExitCode> {
    let (part, rest) = arguments.split_first()?;
    if part == launcher::SUBCOMMAND {
        return Some(launcher::main());
    }
    if part == supervisor::SUBCOMMAND {
        let rest = rest.to_vec();
        return with_main_thread(move || supervisor::main(&rest)).ok();
    }
    if part != watchdog::SUBCOMMAND && !part.starts_with("role-") {
        return None;
    }
    let [url, data, name, slots] = rest else {
        return (part == watchdog::SUBCOMMAND).then(|| watchdog::main(rest));
    };
    let part = part.clone();
    let (url, data, name, slots) = (url.clone(), data.clone(), name.clone(), slots.parse().ok());
    let played = with_main_thread(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        runtime.block_on(async move {
            stint_common::telemetry::init_log("warn", false);
            let (ready, stop) = (CancellationToken::new(), CancellationToken::new());
            let nats = NatsConfig::new(&url, &name);
            // As the program does: what telemetry costs can be seen by asking for it.
            let role = if part == "role-coordinator" { Role::Coordinator } else { Role::Worker };
            let _metrics = metrics::start(role, false);
            match part.as_str() {
                "role-coordinator" => {
                    let config = stint_coordinator::serve::Config {
                        nats,
                        replicas: 1,
                        http: None,
                        traces: stint_coordinator::trace::Settings::default(),
                        keep: stint_coordinator::serve::Keep::default(),
                    };
                    stint_coordinator::serve::run(config, ready, stop)
                        .await
                        .map_err(anyhow::Error::from)
                }
                "role-worker" => {
                    let forwarder = forward::start();
                    let outlet = forwarder.as_ref().map(forward::Forwarder::outlet);
                    let config = Config { outlet, ..worker(nats, &data, &name, slots) };
                    let stop = Stop { shutdown: stop, ..Stop::default() };
                    stint_worker::serve::run(config, ready, stop).await.map_err(anyhow::Error::from)
                }
                "role-noop" => {
                    let config = worker(nats, &data, &name, slots);
                    let open = |_, _, sink: tokio::sync::mpsc::UnboundedSender<_>| {
                        Ok(NoopRuntime::new(move |event| drop(sink.send(event))))
                    };
                    let stop = Stop { shutdown: stop, ..Stop::default() };
                    let worker = stint_worker::serve::run_with(config, open, ready, stop);
                    worker.await.map_err(anyhow::Error::from)
                }
                _ => Err(anyhow::anyhow!("no such part: {part}")),
            }
        })
    });
    match played {
        Ok(Ok(())) => Some(ExitCode::SUCCESS),
        Ok(Err(error)) => {
            eprintln!("{error:?}");
            Some(ExitCode::FAILURE)
        }
        Err(error) => {
            eprintln!("{error:?}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn worker(nats: NatsConfig, data: &str, name: &str, slots: Option<u32>) -> Config {
    let config = Config::new(nats, PathBuf::from(data));
    // Where limits cannot be kept, the row about them says what asking for them costs.
    let machine = stint_worker::machine::Machine { best_effort_limits: true, ..config.machine };
    // To tell what the supervisor costs.
    let supervised = std::env::var_os("STINT_BENCH_NO_SUPERVISOR").is_none();
    Config { name: Some(name.to_owned()), slots, machine, supervised, ..config }
}
