//! The page for people, in a real browser (Debian's `chromium`): skipped, and said so, where there
//! is none.

#![cfg(test)]

#[path = "page/browser.rs"]
mod browser;

use serde_json::json;
use stint_tests::{Api, Http, World, job};

use browser::Browser;

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_page_are_served_and_nothing_else() {
    let world = World::shared(STINT).await;
    let http = world.http("coordinator-0");
    let page = http.get("/ui/").await;
    assert_eq!(page.code, 200);
    assert!(
        page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
    );
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    assert!(text.contains("<title>Stint</title>"), "{text}");
    assert_eq!(
        http.get("/ui/app.js").await.headers["content-type"],
        "text/javascript; charset=utf-8"
    );
    let led = http.send("GET", "/", &[("accept", "text/html,*/*")], String::new()).await;
    assert_eq!((led.code, led.headers["location"].to_str().unwrap()), (302, "/ui/"));
    assert_eq!(http.get("/ui").await.code, 302);
    assert!(http.get("/").await.object(200)["paths"].is_array());
    for path in ["/ui/none.js", "/ui/../ui/app.js/x", "/ui/%2e%2e/app.js"] {
        assert_eq!(http.get(path).await.code, 404, "{path}");
    }
    assert_eq!(http.send("POST", "/ui/", &[], String::new()).await.code, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_jobs_as_they_go() {
    let Some(program) = browser::program() else {
        eprintln!("skipped: there is no chromium on this machine");
        return;
    };
    let world = World::shared(STINT).await;
    let api = Api { client: world.connect().await, namespace: "page".to_owned() };
    let script = "[ $JOB_COMPLETION_INDEX != 7 ] || { echo last words; exit 3; }";
    let mut small = job("small").indexed().completions(40).script(script).build();
    small["spec"]["backoffLimit"] = json!(0);
    let _ = api.failed(&small).await;
    let mut large = job("large").indexed().completions(100_000).script("sleep 600").build();
    large["spec"]["parallelism"] = json!(4);
    api.create(&large).await;
    let http: Http = world.http("coordinator-0");
    let url = format!("http://{}/ui/", http.address);
    let looked = tokio::task::spawn_blocking(move || look(program, &url));
    looked.await.unwrap();
    api.send("jobs.delete.large", &[], "").await.object();
}

/// One walk through all of it.
fn look(program: &str, url: &str) {
    let mut browser = Browser::start(program, 1280, 900);
    browser.go(url);
    browser.until("Jobs are listed", "document.querySelectorAll('tbody tr').length >= 2");
    assert_eq!(browser.value("document.getElementById('link').textContent"), "live");
    let text = browser.value("document.querySelector('main').innerText").to_string();
    assert!(text.contains("small") && text.contains("Failed"), "{text}");
    // From the keyboard: to the filter, to the first row, into it.
    browser.press("/");
    browser.until("the filter has the focus", "document.activeElement.type === 'search'");
    browser.value("(() => { const field = document.querySelector('main input'); field.value = 'page/small'; field.dispatchEvent(new Event('input')); })()");
    browser.until("one Job is left", "document.querySelectorAll('tbody tr').length === 1");
    browser.value("document.activeElement.blur()");
    browser.press("ArrowDown");
    browser.until("the row has the focus", "document.activeElement.dataset.row !== undefined");
    browser.press("Enter");
    browser.until("the Job is shown", "location.hash === '#/job/page/small'");
    browser.until(
        "one index has failed",
        "document.querySelector('.legend').innerText.includes('1 failed')",
    );
    attempts_are_shown(&mut browser);
    a_large_job_is_drawn(&mut browser, url);
    browser.go(&format!("{url}#/workers"));
    browser.until(
        "workers are listed",
        "document.querySelector('main').innerText.includes('worker-0')",
    );
    browser.go(&format!("{url}#/failures"));
    browser.until(
        "failures are grouped",
        "document.querySelector('main').innerText.includes('exit code 3')",
    );
    browser.resize(390, 844);
    browser.go(&format!("{url}#/"));
    browser.until(
        "rows are cards",
        "getComputedStyle(document.querySelector('tbody tr')).display === 'block'",
    );
    let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64().unwrap_or(99) <= 0, "it can be scrolled sideways by {wide}");
}

/// A click on a cell shows its attempts, and what they wrote.
fn attempts_are_shown(browser: &mut Browser) {
    let place = browser.value(
        "(() => { const canvas = document.querySelector('.field canvas'); canvas.scrollIntoView({block: 'center'}); \
         const box = canvas.getBoundingClientRect(); const size = 22; \
         const wide = Math.round(box.width / size); \
         return [box.left + (7 % wide + 0.5) * size, box.top + (Math.floor(7 / wide) + 0.5) * size]; })()",
    );
    let [x, y] = [&place[0], &place[1]].map(|it| it.as_f64().unwrap());
    browser.click(x, y);
    browser.until(
        "the attempt is shown",
        "document.querySelector('#cell').innerText.includes('exit code 3')",
    );
    assert_eq!(browser.value("document.querySelector('#cell h2').textContent"), "Index 7");
    browser.value("document.querySelector('#cell button').click()");
    browser.until(
        "its output is shown",
        "document.querySelector('#cell pre').textContent === 'last words\\n'",
    );
    // From the keyboard, too.
    browser.value("document.querySelector('.field canvas').focus()");
    browser.press("ArrowRight");
    browser.press("Enter");
    browser.until(
        "the next index is shown",
        "document.querySelector('#cell h2').textContent === 'Index 8'",
    );
}

/// Each of 10^5 indexes has its cell, and drawing them all takes a moment.
fn a_large_job_is_drawn(browser: &mut Browser, url: &str) {
    browser.go(&format!("{url}#/job/page/large"));
    let waits = "document.querySelector('.legend').innerText.includes('not started') && \
        document.querySelector('h1').textContent.includes('large')";
    browser.until("it is shown", waits);
    browser.until("its pods run", "document.querySelector('.legend').innerText.includes('4 runs')");
    let drawn = browser.value(
        "(() => { const canvas = document.querySelector('.field canvas'); \
         const cells = (canvas.clientWidth / 5) * (canvas.clientHeight / 5); \
         const first = canvas.getContext('2d').getImageData(1, 1, 1, 1).data; \
         const last = canvas.getContext('2d').getImageData(1, canvas.height - 3, 1, 1).data; \
         return {cells, first: [...first], last: [...last]}; })()",
    );
    assert!(drawn["cells"].as_f64().unwrap() >= 100_000.0, "{drawn}");
    assert!(drawn["first"] != drawn["last"] && drawn["last"][3] == 255, "{drawn}");
    browser.value("document.querySelector('.field canvas').focus()");
    browser.press("End");
    let told = "document.querySelector('.field canvas').getAttribute('aria-label').startsWith('Index 99999 of 100000')";
    browser.until("the last index is reached", told);
}
