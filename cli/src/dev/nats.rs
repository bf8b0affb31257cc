//! The nats-server child: its configuration, its port, and knowing that the one that answers is
//! ours.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::child::{Output, Program, Ready, StartError};
use super::data_dir::DataDir;
use super::supervise::Supervised;
use super::{Error, Options};

/// Between two attempts to reach a server that is starting; nothing tells when it listens.
const RETRY: Duration = Duration::from_millis(5);
/// A free port can be taken by somebody else before the server has it.
pub(super) const PORT_ATTEMPTS: u32 = 4;

/// Starts the server and returns it with the address at which it answers.
pub(super) async fn start(
    options: &Options,
    data: &DataDir,
) -> Result<(Supervised, SocketAddr), Error> {
    let mut attempt = 1;
    loop {
        let address = claim(options.listen)?;
        match start_at(options, data, address).await {
            Ok(server) => return Ok((server, address)),
            Err(Error::Start {
                source: StartError::Ended { .. } | StartError::Foreign { .. },
                ..
            }) if options.listen.port() == 0 && attempt < PORT_ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Finds out that the address is free, and which port it is.
pub(super) fn claim(listen: SocketAddr) -> Result<SocketAddr, Error> {
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    bound.map_err(|source| Error::Listen { address: listen, source })
}

async fn start_at(
    options: &Options,
    data: &DataDir,
    address: SocketAddr,
) -> Result<Supervised, Error> {
    let server_name = format!("stint-dev-{}-{}", std::process::id(), address.port());
    let settings = Settings {
        address,
        server_name: &server_name,
        pid_file: data.nats_pid_file(),
        store: data.path().join("nats"),
        sync_always: options.sync_always,
    };
    let path = data.path().join("nats-server.conf");
    std::fs::write(&path, settings.render())
        .map_err(|source| Error::Write { path: path.clone(), source })?;
    let program = Program {
        name: "nats-server".to_owned(),
        launcher: options.stint.clone(),
        program: options.server.path.clone(),
        arguments: vec!["--config".into(), path.into_os_string()],
        ready: Ready::Greeting { address, server_name },
        output: Output::File(data.path().join("nats-server.log")),
    };
    let name = program.name.clone();
    Supervised::start(program).await.map_err(|source| Error::Start { name, source })
}

/// What the server's configuration says.
struct Settings<'a> {
    address: SocketAddr,
    server_name: &'a str,
    pid_file: PathBuf,
    store: PathBuf,
    sync_always: bool,
}

impl Settings<'_> {
    fn render(&self) -> String {
        let sync = if self.sync_always { "\n  sync_interval: always" } else { "" };
        format!(
            "# Written by `stint dev` at every start.\n\
             listen: {listen}\n\
             server_name: {name}\n\
             pid_file: {pid_file}\n\
             jetstream {{\n  store_dir: {store}{sync}\n}}\n",
            listen = quote(&self.address.to_string()),
            name = self.server_name,
            pid_file = quote_path(&self.pid_file),
            store = quote_path(&self.store),
        )
    }
}

fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Who answers at an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Ours,
    Foreign(String),
}

/// Waits until a server answers; NATS servers speak first, and say who they are.
pub(super) async fn greeting(address: SocketAddr, server_name: &str) -> Greeting {
    loop {
        if let Some(line) = first_line(address).await {
            return judge(&line, server_name);
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn first_line(address: SocketAddr) -> Option<String> {
    let stream = TcpStream::connect(address).await.ok()?;
    BufReader::new(stream).lines().next_line().await.ok()?
}

fn judge(line: &str, server_name: &str) -> Greeting {
    let info = line.strip_prefix("INFO ").unwrap_or_default();
    let info: serde_json::Value = serde_json::from_str(info).unwrap_or_default();
    match info["server_name"].as_str() {
        Some(name) if name == server_name => Greeting::Ours,
        Some(name) => Greeting::Foreign(name.to_owned()),
        None => Greeting::Foreign("not a NATS server".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_reads_as_meant() {
        let settings = Settings {
            address: "127.0.0.1:4333".parse().unwrap(),
            server_name: "stint-dev-1-4333",
            pid_file: "/data/a \"b\"/nats.pid".into(),
            store: "/data/nats".into(),
            sync_always: true,
        };
        let text = settings.render();
        assert!(text.contains("listen: \"127.0.0.1:4333\"\n"), "{text}");
        assert!(text.contains("pid_file: \"/data/a \\\"b\\\"/nats.pid\"\n"), "{text}");
        assert!(
            text.ends_with("store_dir: \"/data/nats\"\n  sync_interval: always\n}\n"),
            "{text}"
        );
        assert!(!Settings { sync_always: false, ..settings }.render().contains("sync_interval"));
    }

    #[test]
    fn a_foreign_server_is_known_by_its_name() {
        let line = r#"INFO {"server_id":"X","server_name":"mine","port":1} "#;
        assert_eq!(judge(line, "mine"), Greeting::Ours);
        assert_eq!(judge(line, "other"), Greeting::Foreign("mine".to_owned()));
        assert_eq!(judge("SSH-2.0", "x"), Greeting::Foreign("not a NATS server".to_owned()));
    }
}
