//! Claiming what was pulled, and pulling what may be claimed.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use stint_common::metrics;
use stint_common::wire::PodState;

use super::devices::Assigned;
use super::intake::{Intake, MOST, Pulled, clock};
use super::outbox::Outbox;
use super::pods::{Pod, Run, Stage, tells_itself};
use super::room::Amounts;
use super::run::Agent;
use super::templates::{Known, Ready};
use crate::pod::{ContainerSettings, Machine, RestartPolicy, Settings as PodSettings};
use crate::runtime::Runtime;

/// What was pulled to be ready ahead and could not be claimed goes back after this.
const GIVE_BACK: Duration = Duration::from_millis(100);

impl<R: Runtime> Agent<R> {
    /// Places that are free or will soon be.
    fn soon_free(&self) -> usize {
        let running = self.pods.iter().filter_map(|(id, pod)| Some((id.job, pod.runs()?)));
        self.room.free_places() + self.ahead.soon_over(running, clock())
    }

    /// Claims what can start at once, and ahead what will start within about a round trip.
    ///
    /// Only plain pods are claimed ahead: one that says what it takes up is claimed when that is
    /// free.
    pub(super) fn claim(&mut self, mixed: bool, out: &mut Outbox) {
        let at = clock();
        if self.pulled.is_empty() {
            return;
        }
        if mixed {
            // Stable: those that came first go first among their like.
            self.pulled.make_contiguous().sort_by_key(|pulled| Reverse(pulled.kind.priority));
        }
        let places = self.soon_free();
        let mut ahead = self.not_yet_running().saturating_sub(self.room.free_places());
        let open = self.takes_pods();
        for _ in 0..self.pulled.len() {
            let Some(pulled) = self.pulled.pop_front() else { break };
            let fits = self.room.fits(&pulled.kind.amounts, &Amounts::default()) > 0;
            let may_wait =
                pulled.kind.plain && ahead < self.ahead.allowance(pulled.pod.job, places);
            let allowed = open && (fits || may_wait);
            let ready = if allowed { self.template_of(&pulled, out) } else { None };
            match ready {
                // An old item, of a pod whose record may be gone: it has done its work.
                Some(ready) if ready.is_over(pulled.pod) && ready.is_fresh() => {
                    out.answers.push((pulled.reply, b"+ACK"));
                }
                // By a seal that may have been replaced: the owner mends one that says too much.
                Some(ready) if ready.is_over(pulled.pod) => {
                    let name = (pulled.pod.job, pulled.item.template.clone());
                    out.fetches.extend(self.templates.read_again(&name));
                    self.pulled.push_back(pulled);
                }
                Some(ready) => {
                    ahead += usize::from(!fits);
                    self.claim_one(pulled, ready, out);
                }
                None if !allowed
                    && (pulled.kind.choosy || at.duration_since(pulled.at) >= GIVE_BACK) =>
                {
                    metrics::worker().gave_back();
                    out.answers.push((pulled.reply, b"-NAK"));
                }
                None => self.pulled.push_back(pulled),
            }
        }
    }

    /// Whether more may be claimed: nothing, and nobody, is in the way, and what the machine had no
    /// room to start has been started.
    fn takes_pods(&mut self) -> bool {
        let allowed = self.fence.is_open() && !self.fence.is_cordoned();
        let allowed = allowed && self.runtime.is_current();
        allowed && self.retries.is_empty() && self.disk.has_room()
    }

    fn template_of(&mut self, pulled: &Pulled, out: &mut Outbox) -> Option<Arc<Ready>> {
        let name = (pulled.pod.job, pulled.item.template.clone());
        match self.templates.get(&name) {
            Some(Known::Ready(ready)) => Some(ready),
            Some(Known::Fetching) => None,
            None => {
                out.fetches.push(self.templates.fetch(name));
                None
            }
        }
    }

    fn claim_one(&mut self, pulled: Pulled, ready: Arc<Ready>, out: &mut Outbox) {
        let Pulled { pod: id, item, reply, kind, .. } = pulled;
        if let Some(pod) = self.pods.get(&id) {
            // Delivered twice: the first delivery's claim stands or falls for both. Until it is
            // durable the item must stay.
            if pod.stage == Stage::Claiming {
                self.replies.insert(id, reply);
            } else {
                out.answers.push((reply, b"+ACK"));
            }
            return;
        }
        let settings = match &ready.job {
            Ok(job) => Arc::clone(job.settings()),
            Err(_) => Arc::new(unprepared()),
        };
        let containers = settings.containers.iter().map(|_| Run::default()).collect();
        let claimed_at = self.wall.now();
        let nonce = self.next_nonce();
        let first_run = self.next_run();
        let tells_itself = tells_itself(&kind, &settings, &ready);
        let pod = Pod {
            template: item.template,
            created_at: item.created_at,
            index_failures: item.index_failures,
            claimed_at,
            claim_nonce: nonce,
            first_run,
            tells_itself,
            to_be_noted: false,
            machine: Machine::new(settings, claimed_at),
            ready,
            sequence: 0,
            writing: true,
            stage: Stage::Claiming,
            apart: false,
            devices: Assigned::new(),
            kind,
            containers,
            waits_for: None,
            files: None,
            values: Arc::default(),
            actions: Vec::new(),
            report: None,
            wake_at: None,
            evicted: None,
            end: None,
        };
        let payload =
            pod.record(&self.settings.name, self.me, nonce, &self.post.host.ip, PodState::Claimed);
        out.claims.push((id, Outbox::write(self.post.jet.names.pod(id), payload, 0)));
        self.replies.insert(id, reply);
        self.room.claim(&pod.kind.amounts);
        self.pods.insert(id, pod);
        self.note(id);
    }

    /// Asks for as many items as there is room for beyond what is here or on its way.
    ///
    /// Classes are asked in turn, those of higher priority first. One that has more to give is
    /// asked alone; pulls of the others stand, so that what comes is heard of.
    pub(super) async fn pull(&mut self, intake: &mut Intake) {
        let at = clock();
        if self.shutting_down || !self.takes_pods() {
            return;
        }
        let free = self.room.free_places();
        let ahead = 2 * self.ahead.pull_allowance(self.recent, self.soon_free());
        let mut here = Amounts::default();
        self.pulled.iter().for_each(|pulled| here.add(&pulled.kind.amounts));
        for index in intake.order() {
            let feed = intake.feed(index);
            let (quota, have) = if feed.kind.plain {
                (free + ahead, self.not_yet_running() + self.pulled.len())
            } else {
                (self.room.fits(&feed.kind.amounts, &here), 0)
            };
            let (asked, hot) = (feed.asked, feed.is_hot(at));
            let coming = if hot { intake.asked_of_hot(at) } else { asked };
            let want = quota.min(MOST).saturating_sub(have + coming);
            // Many small pulls cost the server more than few large ones.
            if feed.may_ask(at) && want > 0 && (asked == 0 || want >= quota / 3) {
                intake.ask(index, want, at).await;
            }
            if hot {
                break;
            }
        }
    }
}

/// What the machine knows of a pod whose template cannot be made ready: its one container fails to
/// start.
pub(super) fn unprepared() -> PodSettings {
    PodSettings {
        containers: vec![ContainerSettings::plain(Arc::from("main"))],
        restart_policy: RestartPolicy::Never,
        grace_seconds: 0,
        active_deadline: None,
    }
}
