//! What starts when: init containers one after the other, a sidecar before what stands behind it,
//! then all main containers; what failed again, after its back-off.

use jiff::Timestamp;

use super::container::State;
use super::event::Effect;
use super::machine::{Machine, Phase, Why};
use super::settings::Role;

impl Machine {
    /// Starts what is due at `now`, for the first time or again.
    pub(super) fn start_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Active {
            return;
        }
        let containers = self.containers.iter_mut().zip(&self.settings.containers).enumerate();
        for (index, (container, settings)) in containers {
            match &mut container.state {
                State::BackingOff { exited, until } if *until <= now => {
                    let exited = *exited;
                    container.backoff.restarted(exited, now);
                    container.restarts = container.restarts.saturating_add(1);
                    container.begin(index, settings, effects);
                }
                State::Configuring(configuring)
                    if configuring.again.is_some_and(|again| again <= now) =>
                {
                    configuring.again = None;
                    effects.push(Effect::Configure { index });
                }
                State::BackingOff { .. }
                | State::Configuring(_)
                | State::Waiting
                | State::Starting
                | State::Running { .. }
                | State::Over => {}
            }
        }
        if self.initialize(effects) {
            self.initialized_at.get_or_insert(now);
            self.start_main(effects);
        }
    }

    /// Starts the next init container, if its turn has come; whether all have done their part.
    fn initialize(&mut self, effects: &mut Vec<Effect>) -> bool {
        let containers = self.containers.iter_mut().zip(&self.settings.containers).enumerate();
        for (index, (container, settings)) in containers {
            match container.role {
                Role::Main => continue,
                Role::Init => {}
                // Once started is enough: what becomes of it later holds nothing up.
                Role::Sidecar => container.initialized |= container.is_started(),
            }
            if container.initialized {
                continue;
            }
            if container.state == State::Waiting {
                container.begin(index, settings, effects);
            }
            return false;
        }
        true
    }

    /// Starts main containers, all at once. As in the kubelet, those behind one with a `postStart`
    /// hook wait for the hook's end; one that lacks its variables holds up nobody.
    fn start_main(&mut self, effects: &mut Vec<Effect>) {
        let containers = self.containers.iter_mut().zip(&self.settings.containers).enumerate();
        for (index, (container, settings)) in containers {
            if container.role != Role::Main {
                continue;
            }
            if container.state == State::Waiting {
                container.begin(index, settings, effects);
            }
            let first_start = container.last.is_none() && !container.is_up();
            // Until it is known to lack some, it is about to start.
            let comes = container.is_live() || container.is_asked_for();
            if settings.post_start.is_some() && comes && first_start {
                return;
            }
        }
    }

    /// When all main containers are over, so is the pod: its sidecars are stopped.
    pub(super) fn finish_if_over(&mut self, now: Timestamp) {
        let mut main = self.containers.iter().filter(|it| it.role == Role::Main);
        if self.phase == Phase::Active && main.all(|it| it.state == State::Over) {
            self.stop(Why::Over, self.settings.grace_seconds, now);
        }
    }
}
