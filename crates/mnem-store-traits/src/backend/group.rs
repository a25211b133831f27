//! Callers that share a commit.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Group commit: callers that arrive during a commit share the next one.
///
/// The first caller *leads*: it runs a batch that begins with its own job. Callers that arrive meanwhile wait, and one
/// of them leads the next batch. There is no background thread, and a lone caller never waits.
///
/// A leader runs one batch and then hands over to the caller that has waited longest. So no caller works for the others
/// forever, and none whose job is done waits for a later batch. (A mutex alone gives no such guarantee: the thread that
/// releases it may take it again before the waiting threads wake up.)
///
/// ```
/// use mnem_store_traits::backend::Group;
///
/// let group = Group::default();
/// let sizes = group.submit("a job", |_, waiting| waiting.count(), |jobs| jobs.iter().map(|job| job.len()).collect());
/// assert_eq!(sizes, Some(5));
/// ```
pub struct Group<J, R> {
    queue: Mutex<Queue<J, R>>,
}

struct Queue<J, R> {
    waiting: VecDeque<(J, Arc<Waiter<J, R>>)>,
    has_leader: bool,
}

/// A waiting caller.
struct Waiter<J, R> {
    signal: Mutex<Signal<J, R>>,
    wake: Condvar,
}

enum Signal<J, R> {
    Pending,
    /// Lead the next batch, beginning with this job, your own.
    Lead(J),
    Done(R),
    /// The leader panicked before it had a result.
    Lost,
}

// No code under these mutexes leaves their content half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J, R> Waiter<J, R> {
    fn notify(&self, signal: Signal<J, R>) {
        *lock(&self.signal) = signal;
        self.wake.notify_one();
    }

    /// Waits for a signal.
    fn wait(&self) -> Signal<J, R> {
        let mut signal = lock(&self.signal);
        loop {
            match mem::replace(&mut *signal, Signal::Pending) {
                Signal::Pending => signal = self.wake.wait(signal).unwrap_or_else(PoisonError::into_inner),
                other => return other,
            }
        }
    }
}

impl<J, R> fmt::Debug for Group<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.queue);
        f.debug_struct("Group").field("waiting", &queue.waiting.len()).field("has_leader", &queue.has_leader).finish()
    }
}

impl<J, R> Default for Group<J, R> {
    fn default() -> Self {
        Self { queue: Mutex::new(Queue { waiting: VecDeque::new(), has_leader: false }) }
    }
}

impl<J, R> Group<J, R> {
    /// Runs `job`, in this thread or in that of another caller, and returns its result. Returns `None` if the caller
    /// that ran it panicked, or returned too few results.
    ///
    /// `take` is given the first job of a batch and those that wait, in order of arrival, and returns how many of the
    /// latter join the batch. `run` runs a batch and returns one result per job, in the same order. Neither may use the
    /// group.
    pub fn submit(
        &self,
        job: J,
        take: impl FnOnce(&J, &mut dyn Iterator<Item = &J>) -> usize,
        run: impl FnOnce(&[J]) -> Vec<R>,
    ) -> Option<R> {
        let job = match self.enqueue(job) {
            Ok(job) => job,
            Err(waiter) => match waiter.wait() {
                Signal::Done(result) => return Some(result),
                Signal::Lead(job) => job,
                Signal::Lost | Signal::Pending => return None,
            },
        };
        self.run_leader(job, take, run)
    }

    /// The number of callers that wait for a later batch.
    pub fn waiting(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    /// Returns the job if this caller leads, otherwise its waiter.
    fn enqueue(&self, job: J) -> Result<J, Arc<Waiter<J, R>>> {
        let mut queue = lock(&self.queue);
        if !queue.has_leader {
            queue.has_leader = true;
            return Ok(job);
        }
        let waiter = Arc::new(Waiter { signal: Mutex::new(Signal::Pending), wake: Condvar::new() });
        queue.waiting.push_back((job, Arc::clone(&waiter)));
        Err(waiter)
    }

    fn run_leader(
        &self,
        job: J,
        take: impl FnOnce(&J, &mut dyn Iterator<Item = &J>) -> usize,
        run: impl FnOnce(&[J]) -> Vec<R>,
    ) -> Option<R> {
        // Declared first, so dropped after the batch: dropping a caller's value may run any code, even a call of this
        // function.
        let mut jobs = vec![job];
        let mut batch = Batch { group: self, waiters: VecDeque::new() };
        if let [first] = jobs.as_slice() {
            let mut queue = lock(&self.queue);
            let taken = take(first, &mut queue.waiting.iter().map(|(job, _)| job)).min(queue.waiting.len());
            for (job, waiter) in queue.waiting.drain(..taken) {
                jobs.push(job);
                batch.waiters.push_back(waiter);
            }
        }
        let mut results = run(&jobs).into_iter();
        let own = results.next();
        for result in results {
            if let Some(waiter) = batch.waiters.pop_front() {
                waiter.notify(Signal::Done(result));
            }
        }
        own
    }
}

/// A batch under way. Its drop handler leaves no caller waiting and appoints the next leader, even on a panic.
struct Batch<'a, J, R> {
    group: &'a Group<J, R>,
    waiters: VecDeque<Arc<Waiter<J, R>>>,
}

impl<J, R> Drop for Batch<'_, J, R> {
    fn drop(&mut self) {
        self.waiters.drain(..).for_each(|waiter| waiter.notify(Signal::Lost));
        let mut queue = lock(&self.group.queue);
        match queue.waiting.pop_front() {
            Some((job, waiter)) => waiter.notify(Signal::Lead(job)),
            None => queue.has_leader = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::mpsc,
        thread,
        time::Duration,
    };

    use super::*;

    type Numbers = Group<u32, u32>;

    impl<J, R> Group<J, R> {
        /// Blocks until this many callers wait; for use while a batch is under way.
        fn until_waiting(&self, callers: usize) {
            while self.waiting() != callers {
                thread::yield_now();
            }
        }
    }

    fn everybody(_: &u32, waiting: &mut dyn Iterator<Item = &u32>) -> usize {
        waiting.count()
    }

    fn doubled(jobs: &[u32]) -> Vec<u32> {
        jobs.iter().map(|job| job * 2).collect()
    }

    /// Leads a batch that ends as `end` says, while the jobs 1 to `others` queue up in this order. Returns the results
    /// of those jobs, each with the batch that ran it.
    fn batches(
        others: u32,
        take: fn(&u32, &mut dyn Iterator<Item = &u32>) -> usize,
        end: fn() -> u32,
    ) -> (Vec<Option<u32>>, Vec<Vec<u32>>) {
        let group = Numbers::default();
        let ran = Mutex::new(Vec::new());
        let run = |jobs: &[u32]| {
            let results = doubled(jobs);
            lock(&ran).push(jobs.to_vec());
            results
        };
        let results = thread::scope(|scope| {
            let mut threads = Vec::new();
            let first = catch_unwind(AssertUnwindSafe(|| {
                group.submit(0, take, |jobs| {
                    assert_eq!(jobs, [0]);
                    for job in 1..=others {
                        threads.push(scope.spawn(move_ref(&group, job, take, &run)));
                        group.until_waiting(job as usize);
                    }
                    vec![end()]
                })
            }));
            let mut results = vec![first.unwrap_or(None)];
            results.extend(threads.into_iter().map(|thread| thread.join().expect("no panic")));
            results
        });
        let ran = lock(&ran).clone();
        (results, ran)
    }

    fn move_ref<'a>(
        group: &'a Numbers,
        job: u32,
        take: fn(&u32, &mut dyn Iterator<Item = &u32>) -> usize,
        run: &'a (impl Fn(&[u32]) -> Vec<u32> + Sync),
    ) -> impl FnOnce() -> Option<u32> + Send + 'a {
        move || group.submit(job, take, run)
    }

    #[test]
    fn callers_that_come_meanwhile_share_the_next_round_and_get_their_own_results() {
        let (results, ran) = batches(5, everybody, || 0);
        assert_eq!(ran, [[1, 2, 3, 4, 5]]);
        assert_eq!(results, [Some(0), Some(2), Some(4), Some(6), Some(8), Some(10)]);
    }

    #[test]
    fn what_a_round_does_not_take_is_led_by_whoever_has_waited_longest() {
        let (results, ran) = batches(5, |_, waiting| waiting.take(1).count(), || 0);
        assert_eq!(ran, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(results, [Some(0), Some(2), Some(4), Some(6), Some(8), Some(10)]);
    }

    /// Otherwise a thread that commits all the time keeps the others from returning.
    #[test]
    fn a_caller_whose_job_is_done_does_not_wait_for_the_next_round() {
        let group = Numbers::default();
        let (returned, has_returned) = mpsc::channel();
        let group = &group;
        thread::scope(|scope| {
            group.submit(0, everybody, move |_| {
                let alone = |_: &u32, _: &mut dyn Iterator<Item = &u32>| 1;
                scope.spawn(move || group.submit(1, alone, doubled));
                group.until_waiting(1);
                scope.spawn(move || {
                    assert_eq!(group.submit(2, everybody, doubled), Some(4));
                    returned.send(()).expect("the test waits");
                });
                group.until_waiting(2);
                scope.spawn(move || {
                    group.submit(3, everybody, |jobs| {
                        has_returned.recv_timeout(Duration::from_secs(60)).expect("the second caller returns");
                        doubled(jobs)
                    })
                });
                group.until_waiting(3);
                vec![0]
            })
        });
    }

    #[test]
    fn a_leader_that_panics_leaves_nobody_waiting() {
        let (results, ran) = batches(3, everybody, || std::panic::resume_unwind(Box::new("the leader")));
        assert_eq!(ran, [[1, 2, 3]]);
        assert_eq!(results, [None, Some(2), Some(4), Some(6)]);
    }

    #[test]
    fn those_whose_leader_panics_are_told() {
        let group = Numbers::default();
        let results: Vec<Option<u32>> = thread::scope(|scope| {
            let mut threads = Vec::new();
            group.submit(0, everybody, |_| {
                for job in 1..=3 {
                    let group = &group;
                    threads.push(scope.spawn(move || {
                        let leader = AssertUnwindSafe(|| {
                            group.submit(job, everybody, |_| std::panic::resume_unwind(Box::new("the leader")))
                        });
                        catch_unwind(leader).unwrap_or(Some(99))
                    }));
                    group.until_waiting(job as usize);
                }
                vec![0]
            });
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(results, [Some(99), None, None]);
        assert_eq!(group.submit(7, everybody, doubled), Some(14));
    }
}
