//! A network that can be cut: a relay between a process and nats-server, which holds bytes back in
//! one direction or both. No connection breaks by that: like packets that are lost and sent again,
//! what was said comes late, when the network is whole again.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    trap: Arc<Mutex<Option<String>>>,
    connections: Arc<AtomicUsize>,
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
        let cut = watch::Sender::new(Cut::NONE);
        let trap: Arc<Mutex<Option<String>>> = Arc::default();
        let wire = Wire { port, cut: cut.clone(), trap: Arc::clone(&trap) };
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((process, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(wire.clone().carry(process));
            }
        });
        Self { port: own, cut, trap, connections, accepting }
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

    /// How many connections were begun through it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Cuts the network both ways when the process says this, before the server has heard it.
    pub fn cut_at(&self, text: &str) {
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    /// Waits until the network is cut.
    pub async fn is_cut(&self) {
        let mut cut = self.cut.subscribe();
        drop(cut.wait_for(|cut| *cut != Cut::NONE).await);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections through a network share.
#[derive(Clone, Debug)]
struct Wire {
    port: u16,
    cut: watch::Sender<Cut>,
    trap: Arc<Mutex<Option<String>>>,
}

impl Wire {
    async fn carry(self, process: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.port)).await else { return };
        let (from_process, to_process) = process.into_split();
        let (from_server, to_server) = server.into_split();
        let (said, told) = (self.cut.subscribe(), self.cut.subscribe());
        // Whichever side ends first, the other learns of it: as far as the network lets it.
        let said = copy(from_process, to_server, said, |cut| cut.to_server, |it| self.look(it));
        let told = copy(from_server, to_process, told, |cut| cut.to_process, |_| {});
        let (_broken, _broken_too) = tokio::join!(said, told);
    }

    fn look(&self, said: &[u8]) {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let is_said =
            |text: &mut String| said.windows(text.len()).any(|part| part == text.as_bytes());
        if trap.take_if(is_said).is_some() {
            self.cut.send_replace(Cut::BOTH);
        }
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut is_cut: watch::Receiver<Cut>,
    held: impl Fn(&Cut) -> bool,
    look: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        look(&buffer[..count]);
        let over = is_cut.wait_for(|cut| !held(cut)).await.is_err();
        if count == 0 || over {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
