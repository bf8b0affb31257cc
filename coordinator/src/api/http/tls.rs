//! HTTP over TLS: the server's certificate, and who a client is by its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What is spoken over TLS, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Files that TLS needs.
#[derive(Clone, Copy, Debug)]
pub struct TlsFiles<'a> {
    /// The server's certificate, and those above it: PEM.
    pub certificate: &'a Path,
    /// Its key: PEM.
    pub key: &'a Path,
    /// Who signs clients' certificates: PEM. Without it none are asked for.
    pub client_authority: Option<&'a Path>,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("reading {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// Certificate and key do not go together, or are none.
    #[error("using the certificate and its key")]
    Certificate(#[source] rustls::Error),
    /// The authority's certificate is of no use.
    #[error("using the authority of clients' certificates")]
    Authority(#[source] VerifierBuilderError),
}

/// TLS, ready to be spoken.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Who a client is by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The common name.
    pub(super) name: String,
    /// The organizations.
    pub(super) groups: Vec<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When they are not what TLS needs.
    pub fn read(files: &TlsFiles<'_>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(files.key)
            .map_err(|source| TlsError::File { path: files.key.to_owned(), source })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Certificate)?;
        let builder = match files.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(TlsError::Certificate)?;
                }
                // A client without a certificate may have a token.
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .map_err(TlsError::Authority)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Begins to speak TLS.
    ///
    /// # Errors
    ///
    /// When the other end does not.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Option<Peer>)> {
        let stream = self.0.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let peer = session.peer_certificates().and_then(|chain| peer(chain.first()?));
        Ok((stream, peer))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(file)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(file)?;
    if all.is_empty() { Err(file(PemError::NoItemsFound)) } else { Ok(all) }
}

/// Who a certificate, which has been verified, speaks of; nobody without a common name.
fn peer(certificate: &CertificateDer<'_>) -> Option<Peer> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let text =
        |name: &x509_parser::x509::AttributeTypeAndValue<'_>| name.as_str().ok().map(str::to_owned);
    let name = subject.iter_common_name().next().and_then(text)?;
    Some(Peer { name, groups: subject.iter_organization().filter_map(text).collect() })
}
