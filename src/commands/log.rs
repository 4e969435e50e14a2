//! Where log lines go, which of them, and how they look.

use std::sync::Arc;

use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::{display::Log, operation::AuditFile, relay::AUDIT};

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(super) struct LogOptions {
    /// How important it must be.
    pub(super) level: Level,
    /// JSON instead of text.
    pub(super) json: bool,
    /// Where audit records go instead of the log.
    pub(super) audit: Option<AuditFile>,
}

/// Changes a log that has started.
#[derive(Debug, Clone)]
pub(super) struct LogControl {
    level: Arc<reload::Handle<LevelFilter, Registry>>,
    audit: Option<AuditFile>,
}

impl LogControl {
    /// Logs what is at least this important from now on.
    pub(super) fn set_level(&self, level: Level) {
        let _ = self.level.reload(LevelFilter::from_level(level));
    }

    /// Makes the file of audit records anew, where there is one.
    pub(super) fn reopen(&self) {
        if let Some(audit) = &self.audit {
            audit.reopen();
        }
    }

    /// Waits, but not for long, until the audit records so far are written.
    pub(super) fn flush(&self) {
        if let Some(audit) = &self.audit {
            audit.flush();
        }
    }
}

/// Sends what is logged to `log`.
pub(super) fn start(log: &Log, options: LogOptions) -> LogControl {
    let (subscriber, control) = subscriber(log, options);
    let _ = subscriber.try_init();
    control
}

/// Every filter says what the most is that it lets through: a filter that does not would have quinn make
/// its spans for every packet, which costs a relay a third of its speed.
fn subscriber(log: &Log, options: LogOptions) -> (impl Subscriber + Send + Sync, LogControl) {
    let (level, control) = reload::Layer::new(LevelFilter::from_level(options.level));
    let writer = log.clone();
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match options.json {
        true => {
            let layer = fmt::layer().json().flatten_event(true);
            layer.with_span_list(false).with_writer(writer).boxed()
        }
        false => {
            let layer = fmt::layer().with_ansi(false).without_time();
            layer.with_writer(writer).boxed()
        }
    };
    let has_file = options.audit.is_some();
    let here = filter_fn(move |metadata| !has_file || metadata.target() != AUDIT)
        .with_max_level_hint(LevelFilter::TRACE);
    let records = options.audit.clone().map(|file| {
        let layer = fmt::layer().json().flatten_event(true);
        let layer = layer
            .with_current_span(false)
            .with_span_list(false)
            .with_level(false)
            .with_target(false);
        let audited = filter_fn(|metadata| metadata.target() == AUDIT);
        layer
            .with_writer(file)
            .with_filter(audited.with_max_level_hint(LevelFilter::INFO))
    });
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(level.and(here)))
        .with(records);
    let control = LogControl {
        level: Arc::new(control),
        audit: options.audit,
    };
    (subscriber, control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Stage;

    #[test]
    fn nothing_is_made_for_the_log_that_no_filter_lets_through() {
        let temp = tempfile::tempdir().unwrap();
        let log = Log::start(Stage::on(std::io::sink())).unwrap();
        let audit = || Some(AuditFile::open(&temp.path().join("audit")).unwrap());
        for (audit, most) in [(None, LevelFilter::WARN), (audit(), LevelFilter::INFO)] {
            let options = LogOptions {
                level: Level::WARN,
                json: false,
                audit,
            };
            let (subscriber, control) = subscriber(&log, options);
            assert_eq!(subscriber.max_level_hint(), Some(most));
            control.set_level(Level::DEBUG);
            assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::DEBUG));
        }
    }
}
