//! Requests and connections of hooks and probes, as the kubelet makes them: HTTP/1.1 without proxy,
//! certificates not looked at, redirects followed on the same host only.

use std::sync::LazyLock;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::{Attempt, Policy};
use tokio::net::TcpStream;

use super::templates::describe;
use crate::launch::{Endpoint, HttpGet};

/// What servers know probes by.
pub(super) const AGENT: &str = "kube-probe/1.36";
/// Go's limit.
const MOST_REDIRECTS: usize = 10;
/// So much of an answer is read; what follows may be missing.
const MOST_BODY: usize = 10 * 1024;

static CLIENT: LazyLock<Result<reqwest::Client, String>> = LazyLock::new(|| {
    // Its one user may have been first; that is all there is to fail.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tls_danger_accept_invalid_certs(true)
        .pool_max_idle_per_host(0)
        .redirect(Policy::custom(redirect))
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
});

/// To another host is not followed, and is a success: it is an answer below 400.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let host = attempt.previous().first().and_then(|url| url.host_str());
    if host != attempt.url().host_str() {
        return attempt.stop();
    }
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error("stopped after 10 redirects");
    }
    attempt.follow()
}

/// Makes a request; the error says what was wrong with the answer.
pub(super) async fn get(request: &HttpGet) -> Result<(), String> {
    let scheme = if request.tls { "https" } else { "http" };
    let Endpoint { host, port } = &request.endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let url = format!("{scheme}://{host}:{port}{}", request.path);
    let client = CLIENT.as_ref().map_err(Clone::clone)?;
    let headers = headers(&request.headers)?;
    let answer = client.get(&url).headers(headers).send().await;
    let mut answer = answer.map_err(|error| describe(&error))?;
    let status = answer.status();
    // An answer that does not come whole is none, whatever its first line says.
    let mut read = 0;
    while read < MOST_BODY {
        let chunk = answer.chunk().await.map_err(|error| describe(&error))?;
        let Some(chunk) = chunk else { break };
        read += chunk.len();
    }
    if request.any_status || (200..400).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(format!("{url}: HTTP probe failed with statuscode: {}", status.as_u16()))
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header"))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("what stands in the header {name} cannot be sent"))?;
        headers.append(name, value);
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    Ok(headers)
}

/// Connects and hangs up.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<(), String> {
    let Endpoint { host, port } = endpoint;
    match TcpStream::connect((host.as_str(), *port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("connecting to {host}:{port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with what `answer` makes of it.
    async fn server(answer: fn(&str) -> String) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 8192];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let answer = answer(&request);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Endpoint { host: "127.0.0.1".to_owned(), port }
    }

    fn request(endpoint: &Endpoint, path: &str) -> HttpGet {
        HttpGet {
            endpoint: endpoint.clone(),
            tls: false,
            path: path.to_owned(),
            headers: Vec::new(),
            any_status: false,
        }
    }

    fn by_path(request: &str) -> String {
        let (status, more) = match request.split(' ').nth(1).unwrap_or_default() {
            "/good" => ("200 OK", ""),
            "/moved" => ("302 Found", "Location: /good\r\n"),
            "/away" => ("302 Found", "Location: http://example.invalid/\r\n"),
            "/bad" => ("302 Found", "Location: /broken\r\n"),
            "/torn" => return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno".to_owned(),
            "/headers" if request.contains("host: elsewhere") => ("200 OK", ""),
            _ => ("500 Internal Server Error", ""),
        };
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn answers_are_judged_as_the_kubelet_does() {
        let endpoint = server(by_path).await;
        for (path, good) in [
            ("/good", true),
            ("/moved", true),
            ("/away", true),
            ("/torn", false),
            ("/bad", false),
            ("/", false),
        ] {
            let answer = get(&request(&endpoint, path)).await;
            assert_eq!(answer.is_ok(), good, "{path}: {answer:?}");
        }
        let any = HttpGet { any_status: true, ..request(&endpoint, "/") };
        assert_eq!(get(&any).await, Ok(()));
        let headers = vec![("Host".to_owned(), "elsewhere".to_owned())];
        let host = HttpGet { headers, ..request(&endpoint, "/headers") };
        assert_eq!(get(&host).await, Ok(()));
    }

    #[tokio::test]
    async fn nobody_at_home_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint =
            Endpoint { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        assert_eq!(connect(&endpoint).await, Ok(()));
        drop(listener);
        assert!(connect(&endpoint).await.unwrap_err().contains("connecting to 127.0.0.1"));
        assert!(get(&request(&endpoint, "/")).await.is_err());
    }
}
