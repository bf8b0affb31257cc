//! A network that can be cut: a relay between a process and nats-server, which holds bytes back in
//! one direction or both. No connection breaks by that: like packets that are lost and sent again,
//! what was said comes late, when the network is whole again.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which way nothing gets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// What the process says.
    pub to_server: bool,
    /// What it is told.
    pub to_process: bool,
}

impl Cut {
    /// Nothing gets through.
    pub const BOTH: Self = Self { to_server: true, to_process: true };
    /// The process hears, and is not heard.
    pub const UNHEARD: Self = Self { to_server: true, to_process: false };
    /// The process is heard, and does not hear.
    pub const DEAF: Self = Self { to_server: false, to_process: true };
    /// Everything gets through.
    pub const NONE: Self = Self { to_server: false, to_process: false };
}

/// A network between processes and a server on this machine.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    cut: watch::Sender<Cut>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A whole network to the server at `port`.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let own = listener.local_addr().expect("it has an address").port();
        let (cut, is_cut) = watch::channel(Cut::NONE);
        let accepting = tokio::spawn(async move {
            while let Ok((process, _)) = listener.accept().await {
                tokio::spawn(carry(process, port, is_cut.clone()));
            }
        });
        Self { port: own, cut, accepting }
    }

    /// Where processes find the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Cuts the network, or makes it whole.
    pub fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(process: TcpStream, port: u16, is_cut: watch::Receiver<Cut>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_process, to_process) = process.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever side ends first, the other learns of it: as far as the network lets it.
    let said = copy(from_process, to_server, is_cut.clone(), |cut| cut.to_server);
    let told = copy(from_server, to_process, is_cut, |cut| cut.to_process);
    let (_broken, _broken_too) = tokio::join!(said, told);
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut is_cut: watch::Receiver<Cut>,
    held: impl Fn(&Cut) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        let over = is_cut.wait_for(|cut| !held(cut)).await.is_err();
        if count == 0 || over {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
