//! What does a client of librdkafka tell us, and how is it let go of?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_t;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, TopicPartitionList};

use tokio::sync::oneshot;

use super::native::Failed;
use super::settings::Settings;
use crate::Result;

/// How long a complaint explains the failures that follow it.
const FRESH: Duration = Duration::from_secs(30);

/// What went wrong between a client and its brokers.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    pub(super) code: RDKafkaErrorCode,
    pub(super) said: String,
    at: Instant,
}

/// Keeps the last complaint of a client, and sends its log to tracing.
#[derive(Default)]
pub(super) struct Ear {
    last: Mutex<Option<Complaint>>,
    /// Something was complained of that does not pass by itself, and nobody was told.
    alarm: AtomicBool,
    /// No broker can be reached.
    is_down: AtomicBool,
}

impl Ear {
    fn last(&self) -> MutexGuard<'_, Option<Complaint>> {
        self.last
            .lock()
            .expect("nothing panics while it holds a complaint")
    }

    pub(super) fn hear(&self, code: RDKafkaErrorCode, said: &str) {
        let mut last = self.last();
        // That all brokers are down says less than why the last one is.
        let says_less = code == RDKafkaErrorCode::AllBrokersDown;
        let is_told = last.as_ref().is_some_and(|last| self.explains(last));
        if says_less {
            self.is_down.store(true, Ordering::Relaxed);
        }
        if says_less || !super::trouble::may_pass(code) {
            self.alarm.store(true, Ordering::Relaxed);
        }
        if says_less && is_told {
            return;
        }
        *last = Some(Complaint {
            code,
            said: said.to_owned(),
            at: Instant::now(),
        });
    }

    /// Why nothing goes, as was complained of lately.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        self.last().clone().filter(|last| self.explains(last))
    }

    /// While nobody can be reached the last complaint holds at any age: librdkafka does not repeat itself for 30 s.
    fn explains(&self, last: &Complaint) -> bool {
        self.is_down() || last.at.elapsed() < FRESH
    }

    /// The brokers answer again.
    pub(super) fn is_well(&self) {
        if self.is_down.swap(false, Ordering::Relaxed) {
            self.last().take();
        }
    }

    /// Whether no broker can be reached.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// What somebody should be told of, once.
    pub(super) fn alarm(&self) -> Option<Complaint> {
        let alarm = self.alarm.swap(false, Ordering::Relaxed);
        alarm.then(|| self.complaint()).flatten()
    }
}

/// One line of librdkafka's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    // Settings are passed to readers and writers alike: that one is not for a reader is no news.
    if facility == "CONFWARN" {
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "logpipe::kafka", facility, "{line}");
        }
        // A connection that fails is told by whoever needed it.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning if facility != "FAIL" => {
            tracing::warn!(target: "logpipe::kafka", facility, "{line}");
        }
        _ => tracing::debug!(target: "logpipe::kafka", facility, "{line}"),
    }
}

/// A change of a membership's lanes, as librdkafka hands it to us. It is answered later, and never inside the callback.
pub(super) enum Rebalance {
    Assign(Vec<(String, i32)>),
    Revoke(Vec<(String, i32)>),
}

/// What librdkafka calls back.
#[derive(Default)]
pub(super) struct Context {
    pub(super) ear: Ear,
    rebalances: Mutex<Vec<Rebalance>>,
    /// Nobody answers rebalances any more: they are answered at once.
    closing: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.ear.hear(code, reason);
        }
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        lanes: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            let _ = answer(consumer, code);
            return;
        }
        let lanes = lanes.elements();
        let lanes = lanes
            .iter()
            .map(|lane| (lane.topic().to_owned(), lane.partition()))
            .collect();
        let rebalance = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(lanes),
            _ => Rebalance::Revoke(lanes),
        };
        self.rebalances
            .lock()
            .expect("nothing panics while it holds a rebalance")
            .push(rebalance);
    }
}

/// Lets a rebalance go on. A member reads nothing itself, so it has nothing to assign or to unassign.
fn answer(consumer: &BaseConsumer<Context>, code: RDKafkaRespErr) -> Result<(), KafkaError> {
    let nothing = TopicPartitionList::new();
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
            consumer.incremental_assign(&nothing)
        }
        _ => consumer.incremental_unassign(&nothing),
    }
}

/// A client that reads, looks, or is a member of a group.
pub(super) struct Client {
    /// There until the client is dropped.
    consumer: Option<BaseConsumer<Context>>,
    gone: Mutex<Option<oneshot::Sender<()>>>,
}

impl Client {
    pub(super) fn new(settings: &Settings, config: &ClientConfig) -> Result<Arc<Self>> {
        let consumer = BaseConsumer::from_config_and_context(config, Context::default())
            .map_err(|error| settings.refused(error))?;
        Ok(Arc::new(Self {
            consumer: Some(consumer),
            gone: Mutex::default(),
        }))
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Context> {
        self.consumer
            .as_ref()
            .expect("a client is there until it is dropped")
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.consumer().context().ear
    }

    pub(super) fn ptr(&self) -> *mut rd_kafka_t {
        self.consumer().client().native_ptr()
    }

    /// Serves callbacks: complaints, log lines and rebalances.
    pub(super) fn poll(&self, timeout: Duration) {
        // Records go to queues of their own; what comes here was heard by the context.
        let _ = self.consumer().poll(timeout);
    }

    /// Why the client is dead for good, if it is: what it complains of itself says only that there is a reason.
    pub(super) fn fatal(&self) -> Option<Failed> {
        let (code, said) = self.consumer().client().fatal_error()?;
        Some(Failed { code, said })
    }

    pub(super) fn rebalances(&self) -> Vec<Rebalance> {
        let context = self.consumer().context();
        let mut rebalances = context
            .rebalances
            .lock()
            .expect("nothing panics while it holds a rebalance");
        std::mem::take(&mut *rebalances)
    }

    pub(super) fn assigned(&self) -> Result<(), KafkaError> {
        let code = RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        answer(self.consumer(), code)
    }

    pub(super) fn revoked(&self) -> Result<(), KafkaError> {
        let code = RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
        answer(self.consumer(), code)
    }

    /// From now on rebalances are answered by themselves: the membership ends. What is returned resolves when the client
    /// was dropped and is gone.
    pub(super) fn close(&self) -> oneshot::Receiver<()> {
        let context = self.consumer().context();
        context.closing.store(true, Ordering::Release);
        let (gone, waits) = oneshot::channel();
        *self.gone() = Some(gone);
        waits
    }

    fn gone(&self) -> MutexGuard<'_, Option<oneshot::Sender<()>>> {
        self.gone
            .lock()
            .expect("nothing panics while it holds a sender")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else {
            return;
        };
        consumer.context().closing.store(true, Ordering::Release);
        let gone = self.gone().take();
        // Leaving a group and closing connections takes a while, and whoever let go of us may be an async task. Where no
        // thread can be had, it takes its while here.
        let thread = std::thread::Builder::new().name("kafka-close".into());
        let _ = thread.spawn(move || {
            drop(consumer);
            if let Some(gone) = gone {
                let _ = gone.send(());
            }
        });
    }
}
