//! The words on the socket between spawner and launcher.

use std::io::{self, Read, Write};

use super::instructions::{Failure, Instructions};

/// Everything is arranged; if nothing follows, the program runs.
const READY: u8 = b'!';
/// Arguments and environment of a process are at most this long, by far.
const MOST_BYTES: u32 = 64 << 20;

/// Sends the launcher its instructions.
pub(super) fn instruct(socket: &mut impl Write, instructions: &Instructions) -> io::Result<()> {
    let body = serde_json::to_vec(instructions).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    socket.write_all(&length.to_le_bytes())?;
    socket.write_all(&body)
}

/// Reads them.
pub(super) fn listen(socket: &mut impl Read) -> io::Result<Instructions> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(io::Error::other("instructions too long"));
    }
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    socket.read_exact(&mut body)?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// Says that the program is about to be executed.
pub(super) fn ready(socket: &mut impl Write) -> io::Result<()> {
    socket.write_all(&[READY])
}

/// Says why it is not.
pub(super) fn fail(socket: &mut impl Write, failure: &Failure) -> io::Result<()> {
    socket.write_all(&serde_json::to_vec(failure).map_err(io::Error::other)?)
}

/// What everything that the launcher said means.
pub(super) fn verdict(said: &[u8]) -> Result<(), Failure> {
    let (ready, rest) = match said.strip_prefix(&[READY]) {
        Some(rest) => (true, rest),
        None => (false, said),
    };
    if rest.is_empty() && ready {
        return Ok(());
    }
    let died = |_| Failure { machine: true, busy: false, message: "the launcher died".to_owned() };
    Err(serde_json::from_slice(rest).unwrap_or_else(died))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_arrive_as_they_were_sent() {
        let mut wire = Vec::new();
        let sent = Instructions { argv: vec!["a\u{1}é".into()], ..Instructions::default() };
        instruct(&mut wire, &sent).unwrap();
        assert_eq!(listen(&mut wire.as_slice()).unwrap().argv, sent.argv);
        assert!(listen(&mut &wire[..wire.len() - 1]).is_err());
        assert!(listen(&mut &[255_u8; 8][..]).is_err());
    }

    #[test]
    fn silence_is_no_consent() {
        assert!(verdict(b"!").is_ok());
        assert!(verdict(b"").unwrap_err().machine);
        let mut wire = Vec::new();
        ready(&mut wire).unwrap();
        fail(&mut wire, &Failure::container("no")).unwrap();
        let failure = verdict(&wire).unwrap_err();
        assert_eq!((failure.machine, failure.message.as_str()), (false, "no"));
        assert!(verdict(b"!{").unwrap_err().machine);
    }
}
