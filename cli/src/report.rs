//! What a failed command prints, and its exit code.

use std::io;

use crate::client;
use crate::exit::{Exit, Expected};

/// What a failed command prints: the error, its causes one a line, and what to try next.
#[must_use]
pub fn render(error: &anyhow::Error) -> String {
    if is_closed_pipe(error) {
        return String::new();
    }
    let mut text = format!("error: {error}\n");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !last.ends_with(&cause) {
            text.push_str(&format!("  because: {cause}\n"));
        }
        last = cause;
    }
    let (next, known) = match (error.downcast_ref::<Expected>(), refused(error)) {
        (Some(expected), _) => (expected.next().map(str::to_owned), true),
        (None, Some(error)) => (error.try_next(), true),
        (None, None) => (None, false),
    };
    if let Some(next) = next {
        text.push_str(&format!("  try: {next}\n"));
    }
    if !known {
        text.push_str("  this was not expected: please report it with the command\n");
    }
    text
}

/// The exit code of a failed command.
#[must_use]
pub fn exit(error: &anyhow::Error) -> Exit {
    if is_closed_pipe(error) {
        return Exit::Success;
    }
    match (error.downcast_ref::<Expected>(), refused(error)) {
        (Some(expected), _) => expected.exit,
        (None, Some(error)) => error.exit(),
        (None, None) => Exit::Internal,
    }
}

fn refused(error: &anyhow::Error) -> Option<&client::Error> {
    error.downcast_ref::<client::Error>()
}

/// `stint get pods | head`: whoever reads has enough, and that is no fault.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_error_says_why_and_what_next() {
        let cause = io::Error::other("connection refused");
        let error = Expected::new(Exit::Unreachable, "no server at nats://x")
            .because(cause)
            .try_next("stint dev");
        let error = anyhow::Error::from(error);
        let text =
            "error: no server at nats://x\n  because: connection refused\n  try: stint dev\n";
        assert_eq!(render(&error), text);
        assert_eq!(exit(&error).code(), 4);
    }

    #[test]
    fn an_error_of_the_api_brings_its_own_code_and_hint() {
        let error = client::Error::NoCoordinator { url: "nats://x".to_owned() };
        let error = anyhow::Error::from(error);
        let text =
            "error: no coordinator answers at nats://x\n  try: stint coordinator --nats nats://x\n";
        assert_eq!((render(&error).as_str(), exit(&error)), (text, Exit::Unreachable));
    }

    #[test]
    fn anything_else_is_a_fault_of_ours() {
        let error = anyhow::anyhow!("index out of bounds").context("rendering a table");
        assert!(render(&error).contains("please report it"));
        assert_eq!(exit(&error), Exit::Internal);
    }

    #[test]
    fn a_reader_that_has_enough_is_no_fault() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((render(&error).as_str(), exit(&error)), ("", Exit::Success));
    }
}
