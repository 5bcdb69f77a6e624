//! What stands before the server: counts calls per shard and second, and fails where it was told to.
//!
//! Calls that write or read records go through one at a time. ferrokinesis numbers records before it stores them, so that
//! a reader between two writers could step over the slower one's: a fault that Kinesis does not have.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// What the layer does wrong, and what it saw. Each fault is taken up by the calls that come next.
#[derive(Default)]
pub struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    round_trip: Duration,
    page: Option<usize>,
    throttled_reads: usize,
    expired_before: Option<Instant>,
    refused_puts: usize,
    lost_answers: usize,
    denied: Vec<&'static str>,
    delayed: HashMap<&'static str, Duration>,
    /// The last sequence number of a shard that retention removed.
    trimmed: HashMap<String, String>,
    /// Shards that ListShards leaves out.
    forgotten: HashSet<String>,
    /// Who is asked before a shard is opened for the first time, and the shards that were.
    gate: Option<mpsc::UnboundedSender<Opening>>,
    admitted: HashSet<String>,
    iterators: HashMap<String, Handed>,
    reads: HashMap<String, Vec<Instant>>,
    calls: HashMap<String, usize>,
    /// Records of PutRecords requests that were written.
    put: usize,
}

/// Somebody asks for the first iterator of a shard, and waits.
pub struct Opening {
    /// The shard.
    pub shard: String,
    /// The access key of who asks.
    pub by: String,
    admit: oneshot::Sender<()>,
}

impl Opening {
    /// Lets the call through. One that is dropped instead breaks the connection.
    pub fn admit(self) {
        // Who asked may be gone.
        let _ = self.admit.send(());
    }
}

/// An iterator that was handed out.
struct Handed {
    shard: String,
    at: Instant,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("nothing panics while it holds the faults")
    }

    /// Every call takes this long, whatever the server needs.
    pub fn round_trip(&self, time: Duration) {
        self.state().round_trip = time;
    }

    /// ListShards returns that many shards at a time.
    pub fn page_shards(&self, shards: usize) {
        self.state().page = Some(shards);
    }

    /// The next reads are throttled.
    pub fn throttle_reads(&self, reads: usize) {
        self.state().throttled_reads = reads;
    }

    /// Every iterator that was handed out so far has expired.
    pub fn expire_iterators(&self) {
        self.state().expired_before = Some(Instant::now());
    }

    /// Of each of the next PutRecords every third record is refused, the first one among them.
    pub fn refuse_some_of_puts(&self, requests: usize) {
        self.state().refused_puts = requests;
    }

    /// The next PutRecords are written, and their answers never arrive.
    pub fn lose_answers(&self, requests: usize) {
        self.state().lost_answers = requests;
    }

    /// Calls of this name are denied from now on.
    pub fn deny(&self, action: &'static str) {
        self.state().denied.push(action);
    }

    /// Calls of this name are served again.
    pub fn allow(&self, action: &str) {
        self.state().denied.retain(|denied| *denied != action);
    }

    /// Calls of this name take that much longer from now on.
    pub fn delay(&self, action: &'static str, time: Duration) {
        self.state().delayed.insert(action, time);
    }

    /// Retention removed the shard's records up to this one.
    pub fn trim(&self, shard: &str, last: &str) {
        self.state().trimmed.insert(shard.into(), last.into());
    }

    /// ListShards no longer lists the shard: retention removed its last record.
    pub fn forget(&self, shard: &str) {
        self.state().forgotten.insert(shard.into());
    }

    /// From now on a shard is opened for the first time only when whoever receives this admits it.
    pub fn gate(&self) -> mpsc::UnboundedReceiver<Opening> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state().gate = Some(sender);
        receiver
    }

    /// Whether all faults that were asked for have happened.
    pub fn are_spent(&self) -> bool {
        let state = self.state();
        state.throttled_reads == 0 && state.refused_puts == 0 && state.lost_answers == 0
    }

    /// How many calls of this name there were.
    pub fn calls(&self, action: &str) -> usize {
        self.state().calls.get(action).copied().unwrap_or(0)
    }

    /// How many records PutRecords wrote.
    pub fn records_put(&self) -> usize {
        self.state().put
    }

    /// The most GetRecords of one shard within any second.
    pub fn most_reads_in_a_second(&self) -> usize {
        let state = self.state();
        let most = |reads: &Vec<Instant>| {
            let within = |from: usize| {
                reads[from..]
                    .iter()
                    .take_while(|read| read.duration_since(reads[from]) < Duration::from_secs(1))
                    .count()
            };
            (0..reads.len()).map(within).max().unwrap_or(0)
        };
        state.reads.values().map(most).max().unwrap_or(0)
    }
}

/// What a call comes to.
enum Fate {
    Serve,
    Fail(&'static str),
}

/// The server and what stands before it.
pub(super) struct Layer<S> {
    server: TowerToHyperService<S>,
    faults: std::sync::Arc<Faults>,
    /// Held by whoever reads or writes records.
    turn: tokio::sync::Mutex<()>,
}

type Answer = Response<Full<Bytes>>;

/// A connection that breaks before the answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer was lost on purpose")]
pub(super) struct Lost;

impl<S> Layer<S> {
    pub(super) fn new(server: S, faults: std::sync::Arc<Faults>) -> Self {
        Self {
            server: TowerToHyperService::new(server),
            faults,
            turn: tokio::sync::Mutex::new(()),
        }
    }
}

impl<S> Layer<S>
where
    TowerToHyperService<S>: Service<Request<Full<Bytes>>>,
    <TowerToHyperService<S> as Service<Request<Full<Bytes>>>>::Response: IntoAnswer,
{
    /// One request, from a client's connection.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Result<Answer, Lost> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        let action = head
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok()?.split_once('.'))
            .map_or_else(String::new, |(_, action)| action.to_owned());
        let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let round_trip = self.faults.state().round_trip;
        tokio::time::sleep(round_trip / 2).await;
        // Counted before it waits, so that who counts knows that it does.
        let fate = self.fate(&action, &asked);
        let delay = self.faults.state().delayed.get(&*action).copied();
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }

        let answer = match fate {
            Fate::Fail(code) => failure(code),
            Fate::Serve => match &*action {
                "ListShards" => self.list_shards(head, asked).await?,
                "PutRecords" => self.put_records(head, asked).await?,
                "GetRecords" => self.get_records(head, body, &asked).await?,
                "GetShardIterator" => self.get_iterator(head, body, &asked).await?,
                _ => self.ask(head, body).await?,
            },
        };
        tokio::time::sleep(round_trip / 2).await;
        Ok(answer)
    }

    async fn ask(&self, head: hyper::http::request::Parts, body: Bytes) -> Result<Answer, Lost> {
        let mut request = Request::from_parts(head, Full::new(body));
        // Of the body that was changed on its way.
        request.headers_mut().remove(hyper::header::CONTENT_LENGTH);
        let answer = self.server.call(request).await.map_err(|_| Lost)?;
        answer.into_answer().await
    }

    fn fate(&self, action: &str, asked: &Value) -> Fate {
        let mut state = self.faults.state();
        *state.calls.entry(action.to_owned()).or_default() += 1;
        if state.denied.contains(&action) {
            return Fate::Fail("AccessDeniedException");
        }
        if action != "GetRecords" {
            return Fate::Serve;
        }
        let iterator = asked["ShardIterator"].as_str().unwrap_or_default();
        let Some(handed) = state.iterators.get(iterator) else {
            return Fate::Serve;
        };
        let (shard, at) = (handed.shard.clone(), handed.at);
        state.reads.entry(shard).or_default().push(Instant::now());
        if state.expired_before.is_some_and(|before| at <= before) {
            return Fate::Fail("ExpiredIteratorException");
        }
        if state.throttled_reads > 0 {
            state.throttled_reads -= 1;
            return Fate::Fail("ProvisionedThroughputExceededException");
        }
        Fate::Serve
    }

    /// Pages of our own size: the server has none that work.
    async fn list_shards(
        &self,
        head: hyper::http::request::Parts,
        asked: Value,
    ) -> Result<Answer, Lost> {
        let (page, forgotten) = {
            let state = self.faults.state();
            (state.page.unwrap_or(usize::MAX), state.forgotten.clone())
        };
        // A token is the stream and the shard that the page begins behind.
        let (stream, behind) = match asked["NextToken"].as_str() {
            None => (
                asked["StreamName"].as_str().unwrap_or_default().to_owned(),
                None,
            ),
            Some(_) if asked.get("StreamName").is_some() => {
                return Ok(failure("InvalidArgumentException"));
            }
            Some(token) => match token.split_once('/') {
                Some((stream, behind)) => (stream.to_owned(), Some(behind.to_owned())),
                None => return Ok(failure("ExpiredNextTokenException")),
            },
        };
        let answer = self
            .ask(head, to_bytes(&json!({ "StreamName": stream })))
            .await?;
        change(answer, |listed| {
            let Some(shards) = listed["Shards"].as_array() else {
                return;
            };
            let mut rest = shards.iter().filter(|shard| {
                let id = shard["ShardId"].as_str().unwrap_or_default();
                !forgotten.contains(id) && behind.as_deref().is_none_or(|behind| id > behind)
            });
            let shown: Vec<Value> = rest.by_ref().take(page).cloned().collect();
            let last = shown.last().and_then(|shard| shard["ShardId"].as_str());
            let token = last
                .filter(|_| rest.next().is_some())
                .map(|last| format!("{stream}/{last}"));
            *listed = json!({ "Shards": shown });
            if let Some(token) = token {
                listed["NextToken"] = token.into();
            }
        })
        .await
    }

    async fn put_records(
        &self,
        head: hyper::http::request::Parts,
        mut asked: Value,
    ) -> Result<Answer, Lost> {
        let (refuses, loses) = {
            let mut state = self.faults.state();
            let refuses = state.refused_puts > 0;
            state.refused_puts = state.refused_puts.saturating_sub(1);
            let loses = !refuses && state.lost_answers > 0;
            if loses {
                state.lost_answers -= 1;
            }
            (refuses, loses)
        };
        let mut refused = Vec::new();
        if refuses && let Some(records) = asked["Records"].as_array_mut() {
            let mut place = 0;
            records.retain(|_| {
                let is_refused = place % 3 == 0;
                refused.extend(is_refused.then_some(place));
                place += 1;
                !is_refused
            });
        }
        let count = asked["Records"].as_array().map_or(0, Vec::len);
        let answer = if count == 0 {
            Response::new(Full::new(to_bytes(
                &json!({ "FailedRecordCount": 0, "Records": [] }),
            )))
        } else {
            let _turn = self.turn.lock().await;
            self.ask(head, to_bytes(&asked)).await?
        };
        if !answer.status().is_success() {
            return Ok(answer);
        }
        self.faults.state().put += count;
        if loses {
            return Err(Lost);
        }
        change(answer, |written| {
            for place in &refused {
                if let Some(results) = written["Records"].as_array_mut() {
                    results.insert(
                        *place,
                        json!({
                            "ErrorCode": "ProvisionedThroughputExceededException",
                            "ErrorMessage": "Rate exceeded for shard",
                        }),
                    );
                }
            }
            if !refused.is_empty() {
                written["FailedRecordCount"] = refused.len().into();
            }
        })
        .await
    }

    async fn get_iterator(
        &self,
        head: hyper::http::request::Parts,
        body: Bytes,
        asked: &Value,
    ) -> Result<Answer, Lost> {
        let shard = asked["ShardId"].as_str().unwrap_or_default().to_owned();
        self.pass_gate(&head, &shard).await?;
        let answer = {
            let _turn = self.turn.lock().await;
            self.ask(head, body).await?
        };
        self.handed_out(answer, "ShardIterator", &shard).await
    }

    async fn pass_gate(&self, head: &hyper::http::request::Parts, shard: &str) -> Result<(), Lost> {
        let asked = {
            let state = self.faults.state();
            let Some(gate) = state
                .gate
                .as_ref()
                .filter(|_| !state.admitted.contains(shard))
            else {
                return Ok(());
            };
            let (admit, admitted) = oneshot::channel();
            let by = head
                .headers
                .get(hyper::header::AUTHORIZATION)
                .and_then(|header| header.to_str().ok()?.split_once("Credential="))
                .and_then(|(_, credential)| credential.split('/').next())
                .unwrap_or_default();
            let opening = Opening {
                shard: shard.to_owned(),
                by: by.to_owned(),
                admit,
            };
            gate.send(opening).map_err(|_| Lost)?;
            admitted
        };
        asked.await.map_err(|_| Lost)?;
        self.faults.state().admitted.insert(shard.to_owned());
        Ok(())
    }

    async fn get_records(
        &self,
        head: hyper::http::request::Parts,
        body: Bytes,
        asked: &Value,
    ) -> Result<Answer, Lost> {
        let iterator = asked["ShardIterator"].as_str().unwrap_or_default();
        let shard = {
            let mut state = self.faults.state();
            // One that is used again, after an answer that was lost, is known by its next one.
            let shard = state
                .iterators
                .get(iterator)
                .map(|handed| handed.shard.clone());
            if state.iterators.len() > 10_000 {
                state
                    .iterators
                    .retain(|_, handed| handed.at.elapsed() < Duration::from_secs(60));
            }
            shard.unwrap_or_default()
        };
        let answer = {
            let _turn = self.turn.lock().await;
            self.ask(head, body).await?
        };
        let trimmed = self.faults.state().trimmed.get(&shard).cloned();
        let answer = match trimmed {
            None => answer,
            Some(last) => {
                change(answer, |read| {
                    if let Some(records) = read["Records"].as_array_mut() {
                        records.retain(|record| is_behind(&record["SequenceNumber"], &last));
                    }
                })
                .await?
            }
        };
        self.handed_out(answer, "NextShardIterator", &shard).await
    }

    /// Remembers whose iterator the answer holds.
    async fn handed_out(&self, answer: Answer, member: &str, shard: &str) -> Result<Answer, Lost> {
        let faults = self.faults.clone();
        change(answer, |handed| {
            if let Some(iterator) = handed[member].as_str() {
                let known = Handed {
                    shard: shard.to_owned(),
                    at: Instant::now(),
                };
                faults.state().iterators.insert(iterator.to_owned(), known);
            }
        })
        .await
    }
}

/// Whether a sequence number is above another one.
fn is_behind(number: &Value, last: &str) -> bool {
    let number = number.as_str().unwrap_or_default();
    (number.len(), number) > (last.len(), last)
}

fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// An answer of the service that says no.
fn failure(code: &str) -> Answer {
    let body = to_bytes(&json!({ "__type": code, "message": "on purpose" }));
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
    let content_type = hyper::header::HeaderValue::from_static("application/x-amz-json-1.1");
    answer
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, content_type);
    answer
}

/// Changes the document of an answer that is none of a failure.
async fn change(answer: Answer, how: impl FnOnce(&mut Value)) -> Result<Answer, Lost> {
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(mut document) => {
            how(&mut document);
            to_bytes(&document)
        }
        Err(_) => body,
    };
    head.headers.remove(hyper::header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Full::new(body)))
}

/// A server's response, read whole.
pub(super) trait IntoAnswer {
    fn into_answer(self) -> impl Future<Output = Result<Answer, Lost>> + Send;
}

impl<B> IntoAnswer for Response<B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    async fn into_answer(self) -> Result<Answer, Lost> {
        let (head, body) = self.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
