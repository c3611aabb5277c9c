//! The tasks of one thread that wait for an event beside their own work, such as the end of all connections. Used by
//! [`crate::server`] and [`crate::proxy`]; does not know the event.

use std::{
    cell::RefCell,
    task::{Context, Waker},
};

use slab::Slab;

/// The tasks that are to be woken. A wait that goes on costs a comparison.
#[derive(Default)]
pub(crate) struct WakerSet(RefCell<Slab<Waker>>);

impl WakerSet {
    /// Adds the task of `cx`, or puts it in the `place` that an earlier call has set. The place is to be left by
    /// [`WakerSet::leave`].
    pub(crate) fn wait(&self, place: &mut Option<usize>, cx: &Context<'_>) {
        let mut tasks = self.0.borrow_mut();
        match place.and_then(|place| tasks.get_mut(place)) {
            Some(task) => task.clone_from(cx.waker()),
            None => *place = Some(tasks.insert(cx.waker().clone())),
        }
    }

    /// Leaves `place`, if there is one.
    pub(crate) fn leave(&self, place: &mut Option<usize>) {
        if let Some(place) = place.take() {
            self.0.borrow_mut().try_remove(place);
        }
    }

    /// Wakes all tasks, which keep their places.
    pub(crate) fn wake_all(&self) {
        for (_, task) in self.0.borrow().iter() {
            task.wake_by_ref();
        }
    }
}
