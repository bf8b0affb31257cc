//! The agent at the other end of the socket: what has come of a frame, and what was not sent yet.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use super::wire::{Command, first_frame, words};

/// Read at a time.
const BUFFER: usize = 64 * 1024;
/// What was needed once for more than this is given back.
const KEEP: usize = 1 << 20;

/// A connection that never waits.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: UnixStream,
    /// It has said hello.
    pub(super) welcomed: bool,
    buffer: Vec<u8>,
    came: Vec<u8>,
    /// Not sent yet, from `sent` on.
    to_send: Vec<u8>,
    sent: usize,
}

impl Peer {
    /// Takes a connection of the same user, or of root.
    ///
    /// # Errors
    ///
    /// When it is another's.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        let who = getsockopt(&socket, PeerCredentials)?;
        if who.uid() != 0 && who.uid() != geteuid().as_raw() {
            return Err(io::Error::from(ErrorKind::PermissionDenied));
        }
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            welcomed: false,
            buffer: vec![0; BUFFER],
            came: Vec::new(),
            to_send: Vec::new(),
            sent: 0,
        })
    }

    /// The commands of all frames that are whole; `None` when the agent is gone.
    ///
    /// # Errors
    ///
    /// When what comes are no frames.
    pub(super) fn receive(&mut self) -> io::Result<Option<Vec<Command>>> {
        let mut open = true;
        loop {
            match self.socket.read(&mut self.buffer) {
                Ok(0) => {
                    open = false;
                    break;
                }
                Ok(count) => {
                    self.came.extend_from_slice(&self.buffer[..count]);
                    if count < self.buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    open = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let mut commands = Vec::new();
        let mut from = 0;
        while let Some((list, length)) = first_frame(&self.came[from..])? {
            commands.extend(words::<Command>(list)?);
            from += length;
        }
        self.came.drain(..from);
        self.came.shrink_to(KEEP);
        // What an agent said before it died counts.
        Ok((open || !commands.is_empty()).then_some(commands))
    }

    /// Queues a frame.
    pub(super) fn queue(&mut self, frame: &[u8]) {
        self.to_send.extend_from_slice(frame);
    }

    /// Whether something waits to be sent.
    pub(super) fn has_more(&self) -> bool {
        self.sent < self.to_send.len()
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    ///
    /// When the agent is gone.
    pub(super) fn send(&mut self) -> io::Result<()> {
        while self.has_more() {
            match self.socket.write(&self.to_send[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.to_send.clear();
        self.to_send.shrink_to(KEEP);
        self.sent = 0;
        Ok(())
    }
}
