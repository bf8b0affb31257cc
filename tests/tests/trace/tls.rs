//! A receiver that takes TLS alone: with whom a process talks, and what it says of the others.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use stint_tests::{World, job, until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use crate::receiver::Receiver;
use crate::world_with;

/// Something is sent, and said, within this time.
const LIMIT: Duration = Duration::from_secs(30);

/// An authority, and what it has signed: files in PEM form.
struct Files {
    authority: String,
    /// For this machine's loopback address.
    server: (String, String),
    client: (String, String),
}

impl Files {
    fn make(dir: &Path, prefix: &str) -> Self {
        let write = |name: &str, text: &str| {
            let path = dir.join(format!("{prefix}-{name}.pem"));
            fs::write(&path, text).expect("the directory can be written to");
            path.display().to_string()
        };
        let key = || KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, prefix);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("it can sign itself");
        let signed = |name: &str, usage: ExtendedKeyUsagePurpose| {
            let names = vec!["127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names).expect("an address is a name");
            params.extended_key_usages = vec![usage];
            let own = key();
            let certificate = params.signed_by(&own, &authority).expect("it can be signed");
            (write(name, &certificate.pem()), write(&format!("{name}-key"), &own.serialize_pem()))
        };
        Self {
            authority: write("authority", &authority.pem()),
            server: signed("server", ExtendedKeyUsagePurpose::ServerAuth),
            client: signed("client", ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    /// What a server with these does; it takes only clients with a certificate of theirs.
    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(crypto::ring::default_provider());
        let certificate = |path: &str| CertificateDer::from_pem_file(path).expect("it is PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.authority)).expect("it is an authority");
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_file(&self.server.1).expect("it is PEM");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows them")
            .with_client_cert_verifier(clients.build().expect("there is an authority"))
            .with_single_cert(vec![certificate(&self.server.0)], key)
            .expect("they belong together");
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn log_has(world: &World, part: &str, text: &str) -> String {
    until(&format!("{part} says `{text}`"), LIMIT, || async {
        world.log(part).lines().find(|line| line.contains(text)).map(str::to_owned)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_certificate_of_the_right_authority_is_talked_to() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let files = Files::make(dir.path(), "right");
    let receiver = Receiver::start_tls(files.acceptor()).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", &*files.authority),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &*files.authority),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &*files.client.0),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &*files.client.1),
    ];
    let world = world_with(&variables).await;
    let api = world.api("tls");
    api.complete(&job("private").build()).await;
    receiver.job("private").await;
    until("metrics of both roles came", LIMIT, || async {
        let names = receiver.metrics();
        ["stint.pods.ended", "stint.worker.claims"]
            .iter()
            .all(|name| names.contains(*name))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_of_the_system_can_be_named_as_ever() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let files = Files::make(dir.path(), "system");
    let receiver = Receiver::start_tls(files.acceptor()).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*format!("{}/v1/traces", receiver.endpoint)),
        ("SSL_CERT_FILE", &*files.authority),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", &*files.client.0),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &*files.client.1),
    ];
    let world = world_with(&variables).await;
    world.api("tls").complete(&job("system").build()).await;
    receiver.job("system").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_told_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let files = Files::make(dir.path(), "known");
    let stranger = Files::make(dir.path(), "stranger");
    let receiver = Receiver::start_tls(stranger.acceptor()).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*files.authority),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &*stranger.client.0),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &*stranger.client.1),
    ];
    let world = world_with(&variables).await;
    world.api("tls").complete(&job("shy").build()).await;
    for (part, signal) in
        [("coordinator-0", "TRACES"), ("coordinator-0", "METRICS"), ("worker-0", "METRICS")]
    {
        let said = log_has(&world, part, &format!("telemetry signal=\"{signal}\"")).await;
        assert!(said.contains("invalid peer certificate: UnknownIssuer"), "{said}");
        assert!(said.contains(&receiver.endpoint), "{said}");
    }
    assert!(receiver.connections() > 0, "nobody tried");
    assert!(receiver.spans().is_empty() && receiver.metrics().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_there_turns_telemetry_off_and_nothing_else() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
    ];
    let world = world_with(&variables).await;
    world.api("tls").complete(&job("without").build()).await;
    let said = log_has(&world, "coordinator-0", "traces cannot be sent, and are off").await;
    let file = "reading /nowhere/ca.pem, which OTEL_EXPORTER_OTLP_CERTIFICATE names";
    assert!(said.contains(file), "{said}");
    log_has(&world, "worker-0", "metrics cannot be sent").await;
}
