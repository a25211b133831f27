//! Group commit: callers that come while one of them is committing share the next commit.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Callers with jobs. The first one to come *leads*: it runs its own job, and in later rounds those of all who came meanwhile, while they wait.
/// There is no thread of its own, and a caller that is alone waits for nobody.
///
/// A leader serves one round and then hands over to whoever has waited longest, so that no caller works for the others for ever.
pub(crate) struct Group<J, R> {
    queue: Mutex<Queue<J, R>>,
}

struct Queue<J, R> {
    waiting: VecDeque<(J, Arc<Seat<J, R>>)>,
    led: bool,
}

/// Where a caller waits.
struct Seat<J, R> {
    told: Mutex<Told<J, R>>,
    wake: Condvar,
}

enum Told<J, R> {
    Wait,
    /// Lead the next round, beginning with your own job.
    Lead(J),
    Done(R),
    /// The leader was unwound before it had a result.
    Lost,
}

// Nothing behind these mutexes is left half changed by a panic.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J, R> Seat<J, R> {
    fn tell(&self, told: Told<J, R>) {
        *hold(&self.told) = told;
        self.wake.notify_one();
    }

    /// Waits until told something.
    fn wait(&self) -> Told<J, R> {
        let mut told = hold(&self.told);
        loop {
            match mem::replace(&mut *told, Told::Wait) {
                Told::Wait => told = self.wake.wait(told).unwrap_or_else(PoisonError::into_inner),
                other => return other,
            }
        }
    }
}

impl<J, R> Default for Group<J, R> {
    fn default() -> Self {
        Self { queue: Mutex::new(Queue { waiting: VecDeque::new(), led: false }) }
    }
}

impl<J, R> Group<J, R> {
    /// Has `job` done, by this caller or by another one, and returns its result: `None` if whoever ran it was unwound.
    ///
    /// `take` says how many of the jobs that wait a round may take along with the first; `run` does a round of jobs, in the order in which they
    /// came, and returns one result for each.
    pub(crate) fn submit(
        &self,
        job: J,
        take: impl FnOnce(&J, &mut dyn Iterator<Item = &J>) -> usize,
        run: impl FnOnce(&[J]) -> Vec<R>,
    ) -> Option<R> {
        let job = match self.queue_up(job) {
            Ok(job) => job,
            Err(seat) => match seat.wait() {
                Told::Done(result) => return Some(result),
                Told::Lead(job) => job,
                Told::Lost | Told::Wait => return None,
            },
        };
        self.lead(job, take, run)
    }

    /// The job back if this caller leads, else its seat.
    fn queue_up(&self, job: J) -> Result<J, Arc<Seat<J, R>>> {
        let mut queue = hold(&self.queue);
        if !queue.led {
            queue.led = true;
            return Ok(job);
        }
        let seat = Arc::new(Seat { told: Mutex::new(Told::Wait), wake: Condvar::new() });
        queue.waiting.push_back((job, Arc::clone(&seat)));
        Err(seat)
    }

    fn lead(
        &self,
        job: J,
        take: impl FnOnce(&J, &mut dyn Iterator<Item = &J>) -> usize,
        run: impl FnOnce(&[J]) -> Vec<R>,
    ) -> Option<R> {
        // Dropped after the round: what belongs to a caller may do anything when it is dropped, also come here again.
        let mut jobs = vec![job];
        let mut round = Round { group: self, seats: VecDeque::new() };
        if let [first] = jobs.as_slice() {
            let mut queue = hold(&self.queue);
            let taken = take(first, &mut queue.waiting.iter().map(|(job, _)| job)).min(queue.waiting.len());
            for (job, seat) in queue.waiting.drain(..taken) {
                jobs.push(job);
                round.seats.push_back(seat);
            }
        }
        let mut results = run(&jobs).into_iter();
        let own = results.next();
        for result in results {
            if let Some(seat) = round.seats.pop_front() {
                seat.tell(Told::Done(result));
            }
        }
        own
    }
}

/// A round under way. However it ends, nobody is left waiting and somebody leads the next.
struct Round<'a, J, R> {
    group: &'a Group<J, R>,
    seats: VecDeque<Arc<Seat<J, R>>>,
}

impl<J, R> Drop for Round<'_, J, R> {
    fn drop(&mut self) {
        self.seats.drain(..).for_each(|seat| seat.tell(Told::Lost));
        let mut queue = hold(&self.group.queue);
        match queue.waiting.pop_front() {
            Some((job, seat)) => seat.tell(Told::Lead(job)),
            None => queue.led = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        thread,
    };

    use super::*;

    type Numbers = Group<u32, u32>;

    impl<J, R> Group<J, R> {
        /// Until so many callers wait, for a round that is under way while this is called.
        fn until_waiting(&self, callers: usize) {
            while hold(&self.queue).waiting.len() != callers {
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

    /// Leads a round that ends as `end` says, while the jobs 1 to `others` queue up in this order; what they get, with the rounds they ran.
    fn rounds(
        others: u32,
        take: fn(&u32, &mut dyn Iterator<Item = &u32>) -> usize,
        end: fn() -> u32,
    ) -> (Vec<Option<u32>>, Vec<Vec<u32>>) {
        let group = Numbers::default();
        let ran = Mutex::new(Vec::new());
        let run = |jobs: &[u32]| {
            let results = doubled(jobs);
            hold(&ran).push(jobs.to_vec());
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
        let ran = hold(&ran).clone();
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
        let (results, ran) = rounds(5, everybody, || 0);
        assert_eq!(ran, [[1, 2, 3, 4, 5]]);
        assert_eq!(results, [Some(0), Some(2), Some(4), Some(6), Some(8), Some(10)]);
    }

    #[test]
    fn what_a_round_does_not_take_is_led_by_whoever_has_waited_longest() {
        let (results, ran) = rounds(5, |_, waiting| waiting.take(1).count(), || 0);
        assert_eq!(ran, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(results, [Some(0), Some(2), Some(4), Some(6), Some(8), Some(10)]);
    }

    #[test]
    fn a_leader_that_panics_leaves_nobody_waiting() {
        let (results, ran) = rounds(3, everybody, || std::panic::resume_unwind(Box::new("the leader")));
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
                        let led = AssertUnwindSafe(|| {
                            group.submit(job, everybody, |_| std::panic::resume_unwind(Box::new("the leader")))
                        });
                        catch_unwind(led).unwrap_or(Some(99))
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
