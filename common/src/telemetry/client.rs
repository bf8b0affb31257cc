//! The way to receivers of telemetry: HTTP, and TLS for those that take nothing else.
//!
//! The exporters above keep to themselves why a receiver cannot be had, so the client says it.

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Certificate, Identity, blocking};

use super::otlp::{self, Signal};
use super::variables;

/// OpenTelemetry's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// A receiver that cannot be had is said in the log no more often than this.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file that a variable names.
    #[error("reading {path}, which {variable} names")]
    Read {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path}, which {variable} names, holds no certificates in PEM form")]
    NoCertificates {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// The two files of a client's certificate.
    #[error("{certificate} and {key} are no certificate and key in PEM form")]
    NoIdentity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// A certificate without a key, or the other way round.
    #[error("{given} is set and {missing} is not: a client's certificate needs both")]
    Half {
        /// What there is.
        given: String,
        /// What there is not.
        missing: String,
    },
    /// The library refuses.
    #[error("making an HTTP client that trusts {roots}")]
    Build {
        /// Whose certificates count.
        roots: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The client is made on a thread of its own.
    #[error("starting a thread to make an HTTP client")]
    Thread(#[source] std::io::Error),
}

/// A client for one signal. It blocks: not for threads of the runtime.
#[derive(Debug)]
pub struct Client {
    http: blocking::Client,
    signal: Signal,
    endpoint: String,
    /// The answer to one request is waited for so long; `None`: until it comes.
    pub timeout: Option<Duration>,
    said: Mutex<Option<Instant>>,
}

/// A client that trusts whom OpenTelemetry's variables say.
///
/// # Errors
///
/// When files that variables name cannot be used.
pub fn client(signal: Signal, endpoint: &str) -> Result<Client, ClientError> {
    let settings = Settings::read(signal, endpoint, |name| std::env::var(name).ok())?;
    let timeout = settings.timeout;
    // It may not be made on a thread of the runtime, whichever calls.
    let build = std::thread::Builder::new().spawn(move || settings.build());
    let http = build.map_err(ClientError::Thread)?.join();
    let http = http.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(Client { http, signal, endpoint: endpoint.to_owned(), timeout, said: Mutex::new(None) })
}

/// What the variables say.
#[derive(Debug)]
struct Settings {
    timeout: Option<Duration>,
    roots: Roots,
    identity: Option<Identity>,
}

#[derive(Debug)]
enum Roots {
    /// Without TLS nobody's certificate is looked at; the machine need not have any.
    None,
    /// The machine's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// These alone.
    Given { variable: String, path: PathBuf, certificates: Vec<Certificate> },
}

impl Settings {
    fn read(
        signal: Signal,
        endpoint: &str,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ClientError> {
        let variable = |what: &str| otlp::own(signal, what, &read);
        let timeout = variable("TIMEOUT").and_then(|(_, text)| variables::timeout(&text).ok());
        let timeout = timeout.unwrap_or(Some(DEFAULT_TIMEOUT));
        if !is_tls(endpoint) {
            return Ok(Self { timeout, roots: Roots::None, identity: None });
        }
        let roots = variable("CERTIFICATE").map_or(Ok(Roots::System), given)?;
        let pair = (variable("CLIENT_CERTIFICATE"), variable("CLIENT_KEY"));
        let half = |given: String, missing: &str| ClientError::Half {
            given,
            missing: format!("OTEL_EXPORTER_OTLP_{missing}"),
        };
        let identity = match pair {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            (Some((name, _)), None) => return Err(half(name, "CLIENT_KEY")),
            (None, Some((name, _))) => return Err(half(name, "CLIENT_CERTIFICATE")),
        };
        Ok(Self { timeout, roots, identity })
    }

    fn build(self) -> Result<blocking::Client, ClientError> {
        // Whoever installed one before has installed the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = blocking::Client::builder().timeout(self.timeout);
        let whom = match self.roots {
            Roots::None => {
                builder = builder.tls_certs_only([]);
                "nobody".to_owned()
            }
            Roots::System => {
                "the system's certificates, or those that SSL_CERT_FILE or SSL_CERT_DIR name".into()
            }
            Roots::Given { variable, path, certificates } => {
                builder = builder.tls_certs_only(certificates);
                format!("{}, which {variable} names", path.display())
            }
        };
        if let Some(identity) = self.identity {
            builder = builder.identity(identity);
        }
        builder.build().map_err(|source| ClientError::Build { roots: whom, source })
    }
}

fn is_tls(endpoint: &str) -> bool {
    let scheme = endpoint.trim_start().get(..6);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

fn given((variable, path): (String, String)) -> Result<Roots, ClientError> {
    let path = PathBuf::from(path);
    let text = file(&variable, &path)?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if !certificates.is_empty() => {
            Ok(Roots::Given { variable, path, certificates })
        }
        Ok(_) | Err(_) => Err(ClientError::NoCertificates { variable, path }),
    }
}

fn identity(
    (certificate_variable, certificate): (String, String),
    (key_variable, key): (String, String),
) -> Result<Identity, ClientError> {
    let (certificate, key) = (PathBuf::from(certificate), PathBuf::from(key));
    let mut both = file(&key_variable, &key)?;
    both.push(b'\n');
    both.extend(file(&certificate_variable, &certificate)?);
    Identity::from_pem(&both).map_err(|source| ClientError::NoIdentity { certificate, key, source })
}

fn file(variable: &str, path: &PathBuf) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::Read {
        variable: variable.to_owned(),
        path: path.clone(),
        source,
    })
}

impl Client {
    /// Sends a request, and says in the log if it is not taken.
    ///
    /// # Errors
    ///
    /// When there is no answer. An answer that refuses is one.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.send_bytes(request).await;
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.say_if_due(&format!("it answers {}", answer.status())),
            Err(error) => self.say_if_due(&chain(&**error)),
        }
        answer
    }

    fn say_if_due(&self, reason: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        *said = Some(Instant::now());
        let (signal, endpoint) = (self.signal.word(), &self.endpoint);
        tracing::warn!(signal, endpoint, reason, "the receiver does not take telemetry");
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(self.send(request))
    }
}

/// An error with its causes, each once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(endpoint: &str, variables: &[(&str, &str)]) -> Option<String> {
        let read = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(Signal::Traces, endpoint, read).err().map(|error| chain(&error))
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_the_variables_say() {
        let check = |own: Option<&str>, all: Option<&str>, expect: Option<u64>| {
            let read = |name: &str| {
                let text = match name {
                    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" => own,
                    "OTEL_EXPORTER_OTLP_TIMEOUT" => all,
                    _ => None,
                };
                text.map(str::to_owned)
            };
            let settings = Settings::read(Signal::Traces, "http://a", read).unwrap();
            assert_eq!(settings.timeout, expect.map(Duration::from_millis), "{own:?} {all:?}");
        };
        check(None, None, Some(10_000));
        check(None, Some("2000"), Some(2000));
        check(Some("1"), Some("2000"), Some(1));
        check(Some(""), Some("2000"), Some(2000));
        check(None, Some("0"), None);
        check(None, Some("-1"), Some(10_000));
        check(Some("soon"), None, Some(10_000));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_variable() {
        let check = |variables: &[(&str, &str)], expect: Option<&str>| {
            assert_eq!(error("https://a", variables).as_deref(), expect, "{variables:?}");
        };
        check(&[], None);
        check(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", " ")], None);
        check(
            &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem")],
            Some(
                "reading /nowhere/ca.pem, which OTEL_EXPORTER_OTLP_CERTIFICATE names: No such file or directory (os error 2)",
            ),
        );
        check(
            &[
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"),
                ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/dev/null"),
            ],
            Some(
                "/dev/null, which OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE names, holds no certificates in PEM form",
            ),
        );
        check(
            &[("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/dev/null")],
            Some(
                "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY is set and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not: a client's certificate needs both",
            ),
        );
    }

    #[test]
    fn without_tls_no_certificate_is_looked_for() {
        assert_eq!(error("http://a", &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")]), None);
        assert!(is_tls("HTTPS://a") && !is_tls("http://https:") && !is_tls(""));
    }
}
