//! Keeps one child running: starts it again, with back-off, whenever it ends by itself.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::child::{Program, Running, StartError};

/// The first pause before a child is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A child that ran so long is not in a crash loop: the pauses begin anew.
const SETTLED: Duration = Duration::from_secs(30);

/// A child that is kept running until [`Supervised::stop`]. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Supervised {
    stop: CancellationToken,
    /// Gives the child back when it is to be stopped; nothing if there is none at that moment.
    task: JoinHandle<Option<Running>>,
}

impl Supervised {
    /// Starts it, and returns when it is ready for the first time.
    pub(crate) async fn start(program: Program) -> Result<Self, StartError> {
        let running = Running::start(&program).await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(program, running, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Asks it to end and waits; kills it after `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) {
        self.stop.cancel();
        if let Ok(Some(running)) = (&mut self.task).await
            && let Err(error) = running.end(limit).await
        {
            tracing::warn!(%error, "ending a child");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(program: Program, mut running: Running, stop: CancellationToken) -> Option<Running> {
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return Some(running),
            status = running.ended() => {
                let status = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                tracing::warn!(child = program.name, status, "ended unexpectedly: starting it again");
            }
        }
        if since.elapsed() > SETTLED {
            pause = FIRST_PAUSE;
        }
        running = tokio::select! {
            () = stop.cancelled() => return None,
            running = again(&program, &mut pause) => running,
        };
        tracing::info!(child = program.name, "runs again");
    }
}

async fn again(program: &Program, pause: &mut Duration) -> Running {
    loop {
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        match Running::start(program).await {
            Ok(running) => return running,
            Err(error) => tracing::warn!(child = program.name, %error, "could not be started"),
        }
    }
}
