//! Requests that a browser sends for a page, not for its user.
//!
//! Who listens on loopback without asking for credentials is reached by every page that a user of
//! the machine looks at. A page's request says so in `Origin`; one that was led here under a name
//! of its own (DNS rebinding) has that name in `Host`. No client of Kubernetes does either; our own
//! page does, with an `Origin` that is where it was sent to.

use std::net::IpAddr;

use hyper::header::{HOST, ORIGIN};
use hyper::{HeaderMap, Uri};

use crate::registry::Error;

/// Refuses what a page may have sent.
///
/// # Errors
///
/// 400, which says why.
pub(super) fn refuse(uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    // With HTTP/2 it is part of the address.
    let authority = uri.authority().map(hyper::http::uri::Authority::as_str);
    let host = authority.or_else(|| headers.get(HOST)?.to_str().ok());
    if headers.get_all(ORIGIN).iter().any(|origin| !is_own(origin.to_str().ok(), host)) {
        let message = "a request with the Origin of another page may not ask";
        return Err(Error::BadRequest(message.to_owned()));
    }
    match host {
        Some(host) if !is_this_machine(host) => Err(Error::BadRequest(format!(
            "the host {host:?} is not this machine: without credentials the API is asked by a \
             loopback address or as localhost"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Whether a page is this coordinator's own.
fn is_own(origin: Option<&str>, host: Option<&str>) -> bool {
    let authority = origin.and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    authority.is_some() && authority == host
}

/// `localhost`, `127.0.0.1:8230`, `[::1]:8230`.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(uri: &str, headers: &[(hyper::header::HeaderName, &str)]) -> Result<(), u16> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let headers = HeaderMap::from_iter(headers);
        refuse(&uri.parse().unwrap(), &headers).map_err(|error| error.code())
    }

    #[test]
    fn clients_may_ask_and_pages_may_not() {
        assert_eq!(ask("/api", &[(HOST, "127.0.0.1:8230")]), Ok(()));
        assert_eq!(ask("/api", &[(HOST, "[::1]:8230")]), Ok(()));
        assert_eq!(ask("http://localhost:8230/api", &[]), Ok(()));
        assert_eq!(ask("/api", &[]), Ok(()));
        assert_eq!(ask("/api", &[(HOST, "rebound.example:8230")]), Err(400));
        assert_eq!(ask("http://127.0.0.1.example/api", &[]), Err(400));
        let page = [(HOST, "127.0.0.1:8230"), (ORIGIN, "http://page.example")];
        assert_eq!(ask("/api", &page), Err(400));
        let own = [(HOST, "127.0.0.1:8230"), (ORIGIN, "http://127.0.0.1:8230")];
        assert_eq!(ask("/ui/app.js", &own), Ok(()));
        let other_port = [(HOST, "127.0.0.1:8230"), (ORIGIN, "http://127.0.0.1:8080")];
        assert_eq!(ask("/api", &other_port), Err(400));
        let rebound = [(HOST, "page.example"), (ORIGIN, "http://page.example")];
        assert_eq!(ask("/api", &rebound), Err(400));
        assert_eq!(ask("/api", &[(HOST, "localhost"), (ORIGIN, "null")]), Err(400));
    }
}
