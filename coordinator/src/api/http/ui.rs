//! The page for people: files as they are, part of the program. It reads the API as any client
//! does, and can change nothing.
//!
//! The files themselves say nothing of anybody's Jobs, so no credentials are asked for them.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use super::respond::{self, Body};
use crate::registry::Error;

/// Where it is.
const HOME: &str = "/ui/";

/// Each file, what it is, and what is in it.
static FILES: [(&str, &str, &[u8]); 12] = [
    ("", "text/html; charset=utf-8", include_bytes!("ui/index.html")),
    ("style.css", "text/css; charset=utf-8", include_bytes!("ui/style.css")),
    ("api.js", SCRIPT, include_bytes!("ui/api.js")),
    ("app.js", SCRIPT, include_bytes!("ui/app.js")),
    ("cell.js", SCRIPT, include_bytes!("ui/cell.js")),
    ("chart.js", SCRIPT, include_bytes!("ui/chart.js")),
    ("failures.js", SCRIPT, include_bytes!("ui/failures.js")),
    ("grid.js", SCRIPT, include_bytes!("ui/grid.js")),
    ("job.js", SCRIPT, include_bytes!("ui/job.js")),
    ("jobs.js", SCRIPT, include_bytes!("ui/jobs.js")),
    ("text.js", SCRIPT, include_bytes!("ui/text.js")),
    ("workers.js", SCRIPT, include_bytes!("ui/workers.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing from elsewhere is loaded, and nobody shows the page in theirs. Styles are set by
/// scripts, element by element, which these rules do not mean.
const RULES: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
];

/// A file of the page.
///
/// # Errors
///
/// 404 when there is no such file.
pub(super) fn file(name: &str) -> Result<Response<Body>, Error> {
    let (_, content_type, bytes) =
        FILES.iter().find(|(known, ..)| *known == name).ok_or(Error::NoSuchResource)?;
    let mut response = respond::file(content_type, Bytes::from_static(bytes));
    for (header, value) in RULES {
        let header = HeaderName::from_static(header);
        response.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// From where a person may have typed to where the page is.
pub(super) fn to_page() -> Response<Body> {
    let mut response = respond::nothing(StatusCode::FOUND);
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(HOME));
    response
}
