//! What can be said about a task when it is submitted, and what may be wrong with it.

use std::borrow::Cow;
use std::panic::Location;

use crate::error::{Refusal, TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::{self, Found, Handle, Keeper, Key, Keys, Needs, Priority, Rule, Typed, Where};

/// What was said about a task.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) key: Option<Key>,
    /// None: that of the task that submits it.
    pub(crate) priority: Option<Priority>,
    pub(crate) place: Where,
    /// None: it is not to be run again.
    pub(crate) retries: Option<u32>,
    /// By name, each once.
    pub(crate) resources: Vec<(Cow<'static, str>, u64)>,
}

impl Options {
    fn rule(&self, registry: &Registry) -> Result<Rule, TaskErrorKind> {
        let most = |what, number: u32, count: usize| {
            if (number as usize) < count {
                return Ok(());
            }
            let text = format!("there is no {what} {number}: this executor has {count}, numbered from 0");
            Err(refused(Refusal::Place, text))
        };
        match self.place {
            Where::Anywhere => {}
            Where::Domain { domain, .. } => most("domain", domain, registry.domain_count())?,
            Where::Worker { worker, .. } => most("worker", worker, registry.settings.workers)?,
        }
        Ok(Rule { name: self.name.clone(), place: self.place, needs: self.needs(registry)?, ..Rule::default() })
    }

    /// Whether a task of which this was said can be.
    #[cfg(feature = "ranks")]
    pub(crate) fn check(&self, registry: &Registry) -> Result<(), TaskErrorKind> {
        self.rule(registry).map(drop)
    }

    fn needs(&self, registry: &Registry) -> Result<Option<Arc<Needs>>, TaskErrorKind> {
        let mut amounts = Vec::new();
        for (name, amount) in &self.resources {
            let Some((resource, total)) = registry.resources.find(name) else {
                let text = format!(
                    "this executor has no resource `{name}`; name it when the executor is built: Builder::resource(\"{name}\", …)"
                );
                return Err(refused(Refusal::Resource, text));
            };
            if *amount > total {
                let text = format!(
                    "{amount} of the resource `{name}` can never be had: the executor has {total}; ask for less or build it with more"
                );
                return Err(refused(Refusal::Resource, text));
            }
            if *amount > 0 {
                amounts.push((resource, *amount));
            }
        }
        amounts.sort_unstable();
        Ok((!amounts.is_empty()).then(|| Arc::new(Needs::new(amounts.into()))))
    }

    /// The task that was asked for: `make` makes it, unless there is one under its key that does not give the key up.
    /// What cannot be is a task that has failed already.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        registry: &Registry,
        location: &'static Location<'static>,
        gives_up: impl Fn(&Handle) -> bool,
        make: impl FnOnce(Rule) -> Typed<T>,
    ) -> Typed<T> {
        let mut rule = match self.rule(registry) {
            Ok(rule) => rule,
            Err(kind) => return born_failed(registry, location, kind),
        };
        let Some(key) = &self.key else { return make(rule) };
        let keys = registry.extensions.get::<Keys>();
        match keys.find(key.clone(), gives_up) {
            Found::Task(task) => {
                let known = task.value_name();
                Typed::of(task).unwrap_or_else(|| {
                    let wanted = std::any::type_name::<T>();
                    let text = format!(
                        "the key {key} is held by a task that gives a `{known}`, not a `{wanted}`; use another key, or drop that task's futures first"
                    );
                    born_failed(registry, location, refused(Refusal::Key, text))
                })
            }
            Found::Circle => born_failed(registry, location, TaskErrorKind::Deadlock { circle: None }),
            Found::Nothing(place) => {
                rule.key = Some(key.clone());
                let keeper: Arc<dyn Keeper> = keys.clone();
                rule.keeper = Some(keeper);
                let task = make(rule);
                // A task that was refused has no rule.
                if task.handle().head().rule().is_some() {
                    place.fill(task.handle());
                }
                task
            }
        }
    }
}

pub(crate) fn refused(refusal: Refusal, text: String) -> TaskErrorKind {
    TaskErrorKind::Refused { refusal, text }
}

/// A task that has failed before it began.
pub(crate) fn born_failed<T: Send + 'static>(
    registry: &Registry,
    location: &'static Location<'static>,
    kind: TaskErrorKind,
) -> Typed<T> {
    let birth = registry.birth(location);
    let error = TaskError::of_task(kind, birth.id(), location);
    task::with_error(birth, error)
}
