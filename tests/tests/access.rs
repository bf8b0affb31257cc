//! Who may do what over HTTP, looked at from the outside: tokens, certificates, roles, and a file
//! that changes.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::{Value, json};
use stint_tests::{Http, HttpReply, World, job, until};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
/// A change of the file is seen within this time.
const LIMIT: Duration = Duration::from_secs(30);

const SUBMITTER: &str = "submitter-token-0123456789";
const VIEWER: &str = "viewer-token-0123456789abc";
const SCRAPER: &str = "scraper-token-0123456789ab";

const FILE: &str = "
users:
- {name: sue, groups: [submitters], token: submitter-token-0123456789}
- {name: vic, token: viewer-token-0123456789abc}
- {name: pat, token: scraper-token-0123456789ab}
roles:
- groups: [submitters]
  namespaces: [access]
  resources: [jobs, pods, pods/log]
  verbs: ['*']
- users: [vic]
  namespaces: ['*']
  resources: [jobs, leases]
  verbs: [get, list, watch]
- {users: [pat], paths: [/metrics], verbs: [get]}
";

/// A coordinator with more to say, beside those of the shared world.
async fn coordinator(name: &str, file: &str, more: &[&str]) -> (Arc<World>, String, PathBuf) {
    let world = World::shared(STINT).await;
    let path = world.path().join(format!("{name}.yaml"));
    std::fs::write(&path, file).expect("it can be written to");
    let access = path.display().to_string();
    let mut arguments = vec!["--http", "127.0.0.1:0", "--http-access", &access];
    arguments.extend_from_slice(more);
    let address = world.offer(name, &arguments).await;
    (world, address, path)
}

async fn ask(http: &Http, token: &str, method: &str, path: &str, body: &Value) -> HttpReply {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    http.send(method, path, &headers, body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_it_says_and_nothing_else() {
    let (world, url, _) = coordinator("coordinator-access", FILE, &[]).await;
    let http = Http { address: url.trim_start_matches("http://").to_owned() };
    let jobs = "/apis/batch/v1/namespaces/access/jobs";
    let elsewhere = "/apis/batch/v1/namespaces/elsewhere/jobs";

    for path in ["/api", jobs, "/openapi/v3"] {
        assert_eq!(http.get(path).await.refused(401)["reason"], "Unauthorized");
    }
    let nobody = ask(&http, "no-such-token-0123456789", "GET", jobs, &json!({})).await;
    let _ = nobody.refused(401);
    for path in ["/healthz", "/readyz", "/version"] {
        assert_eq!(http.get(path).await.code, 200, "{path}");
    }
    assert_eq!(ask(&http, VIEWER, "GET", "/apis", &json!({})).await.code, 200);

    let manifest = job("a").build();
    let _ = ask(&http, SUBMITTER, "POST", jobs, &manifest).await.object(201);
    let refused = ask(&http, VIEWER, "POST", jobs, &manifest).await.refused(403);
    assert_eq!(
        refused["message"],
        "jobs.batch is forbidden: User \"vic\" cannot create resource \"jobs\" in API group \
         \"batch\" in the namespace \"access\""
    );
    assert_eq!(refused["details"], json!({"group": "batch", "kind": "jobs"}));
    let _ = ask(&http, SUBMITTER, "POST", elsewhere, &manifest).await.refused(403);
    let _ = ask(&http, VIEWER, "GET", elsewhere, &json!({})).await.object(200);
    let _ = ask(&http, VIEWER, "GET", "/apis/batch/v1/jobs", &json!({})).await.object(200);
    let _ = ask(&http, SUBMITTER, "GET", "/apis/batch/v1/jobs", &json!({})).await.refused(403);
    let pods = "/api/v1/namespaces/access/pods";
    let _ = ask(&http, VIEWER, "GET", pods, &json!({})).await.refused(403);
    let _ = ask(&http, SUBMITTER, "GET", pods, &json!({})).await.object(200);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker-0";
    let _ = ask(&http, VIEWER, "GET", lease, &json!({})).await.object(200);
    let _ = ask(&http, SUBMITTER, "GET", lease, &json!({})).await.refused(403);
    let status = format!("{jobs}/a/status");
    let _ = ask(&http, SUBMITTER, "GET", &status, &json!({})).await.refused(403);
    let _ = ask(&http, VIEWER, "DELETE", &format!("{jobs}/a"), &json!({})).await.refused(403);
    let _ = ask(&http, SUBMITTER, "DELETE", &format!("{jobs}/a"), &json!({})).await.object(200);

    assert_eq!(http.get("/metrics").await.code, 401);
    let metrics = ask(&http, VIEWER, "GET", "/metrics", &json!({})).await.refused(403);
    assert_eq!(metrics["message"], "forbidden: User \"vic\" cannot get path \"/metrics\"");
    let metrics = ask(&http, SCRAPER, "GET", "/metrics", &json!({})).await;
    assert!(metrics.code == 200 && metrics.bytes.starts_with(b"# HELP"));
    let _ = ask(&http, SCRAPER, "GET", jobs, &json!({})).await.refused(403);

    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (token, allowed) in [(SUBMITTER, true), (VIEWER, false)] {
        let about = json!({"verb": "create", "group": "batch", "resource": "jobs",
            "namespace": "access"});
        let review = json!({"spec": {"resourceAttributes": about}});
        let answer = ask(&http, token, "POST", reviews, &review).await.object(201);
        assert_eq!(answer["status"]["allowed"], allowed, "{answer}");
    }
    world.kill("coordinator-access");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_read_again_when_it_changes() {
    let (world, url, path) = coordinator("coordinator-changing", FILE, &[]).await;
    let http = Http { address: url.trim_start_matches("http://").to_owned() };
    let jobs = "/apis/batch/v1/namespaces/access/jobs";
    let code = async |token: &str| ask(&http, token, "GET", jobs, &json!({})).await.code;
    assert_eq!(code(VIEWER).await, 200);
    // What cannot be understood changes nothing.
    std::fs::write(&path, "users: none\n").expect("it can be written to");
    until("the fault is said", LIMIT, || async {
        assert_eq!(code(VIEWER).await, 200);
        world.log("coordinator-changing").contains("stays as it was").then_some(())
    })
    .await;
    std::fs::write(&path, FILE.replace(VIEWER, "another-token-0123456789"))
        .expect("it can be written to");
    until("the old token is of no use", LIMIT, || async {
        (code(VIEWER).await == 401).then_some(())
    })
    .await;
    assert_eq!(code("another-token-0123456789").await, 200);
    world.kill("coordinator-changing");
}

#[test]
fn nothing_is_offered_to_everybody_everywhere() {
    let run = |words: &[&str]| -> Output {
        let command = Command::new(STINT).arg("coordinator").args(words).output();
        command.expect("stint runs")
    };
    let open = run(&["--http", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&open.stderr);
    assert_eq!(open.status.code(), Some(2), "{said}");
    assert!(said.contains("on loopback addresses only"), "{said}");
    let missing = run(&["--http", "127.0.0.1:0", "--http-access", "/nonexistent/file"]);
    assert_eq!(missing.status.code(), Some(2));
}

/// Certificates of a server and of a client, signed by one authority; as files.
struct Certificates {
    authority: PathBuf,
    server: (PathBuf, PathBuf),
    client: (PathBuf, PathBuf),
}

impl Certificates {
    fn make(dir: &Path) -> Self {
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).expect("it can be written to");
            path
        };
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let authority = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let signed = |name: &str, mut params: CertificateParams, usage| {
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key can be made");
            let certificate = params.signed_by(&key, &authority).expect("it is signed");
            let certificate = write(&format!("{name}.pem"), &certificate.pem());
            (certificate, write(&format!("{name}.key"), &key.serialize_pem()))
        };
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let mut client = CertificateParams::new(Vec::<String>::new()).expect("no names are fine");
        client.distinguished_name.push(DnType::CommonName, "carl");
        client.distinguished_name.push(DnType::OrganizationName, "submitters");
        Self {
            authority: write("authority.pem", &authority.pem()),
            server: signed("server", server, ExtendedKeyUsagePurpose::ServerAuth),
            client: signed("client", client, ExtendedKeyUsagePurpose::ClientAuth),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_known_by_their_certificates() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(kubectl) =
        std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|it| it.is_file())
    else {
        eprintln!("SKIPPED: there is no kubectl on the PATH");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let files = Certificates::make(dir.path());
    let text = |path: &Path| path.display().to_string();
    let (cert, key) = (text(&files.server.0), text(&files.server.1));
    let authority = text(&files.authority);
    let more = ["--http-cert", &cert, "--http-key", &key, "--http-client-ca", &authority];
    let (world, url, _) = coordinator("coordinator-tls", FILE, &more).await;
    assert!(url.starts_with("https://"), "{url}");
    let run = |who: &[&str], words: &[&str]| -> Output {
        let config = Command::new(STINT)
            .args(["kubeconfig", "--server", &url, "-n", "access"])
            .args(["--certificate-authority", &authority])
            .args(who)
            .output()
            .expect("stint runs");
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, config.stdout).expect("it can be written to");
        let mut command = Command::new(&kubectl);
        command.env("KUBECONFIG", &path).env("HOME", dir.path()).args(words);
        command.output().expect("kubectl runs")
    };
    let said = |output: &Output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let (cert, key) = (text(&files.client.0), text(&files.client.1));
    let carl = ["--client-certificate", cert.as_str(), "--client-key", key.as_str()];
    let created = run(&carl, &["create", "job", "tls", "--image=host", "--", "true"]);
    assert!(said(&created).contains("job.batch/tls created"), "{created:?}");
    let who = run(&carl, &["auth", "whoami", "-o", "json"]);
    let who: Value = serde_json::from_slice(&who.stdout).unwrap_or_else(|_| panic!("{who:?}"));
    let groups = json!(["submitters", "system:authenticated"]);
    assert_eq!(who["status"]["userInfo"], json!({"username": "carl", "groups": groups}));
    let can = run(&carl, &["auth", "can-i", "delete", "jobs"]);
    assert_eq!(said(&can).lines().last(), Some("yes"), "{can:?}");
    let by_token = ["--token", VIEWER];
    let listed = run(&by_token, &["get", "jobs", "-A", "-o", "name"]);
    assert!(said(&listed).contains("job.batch/tls"), "{listed:?}");
    let refused = run(&by_token, &["delete", "job", "tls"]);
    assert!(said(&refused).contains("Error from server (Forbidden)"), "{refused:?}");
    let nobody = run(&[], &["get", "jobs"]);
    assert_eq!(nobody.status.code(), Some(1));
    world.kill("coordinator-tls");
}
