//! The stack of the pickle machine, the marks in it, and the values that were noted for later.

use super::input::Checked;
use super::machine::Machine;
use super::pickle::{Node, Pickle, Value};

impl<R> Machine<'_, R> {
    pub(super) fn push(&mut self, value: Value) -> Checked<()> {
        self.pickle.budget.push(&mut self.stack, value)
    }

    pub(super) fn push_node(&mut self, node: Node) -> Checked<()> {
        let value = self.pickle.add(node)?;
        self.push(value)
    }

    /// Forgets the values from a height on.
    pub(super) fn drop_to(&mut self, height: usize) -> Checked<()> {
        let from = self.below(self.stack.len().saturating_sub(height))?;
        self.stack.truncate(from);
        Ok(())
    }

    /// The last value, which no mark protects.
    pub(super) fn top(&self) -> Checked<Value> {
        let free = self.marks.last().is_none_or(|&height| (height as usize) < self.stack.len());
        self.stack
            .last()
            .copied()
            .filter(|_| free)
            .ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    pub(super) fn pop(&mut self) -> Checked<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// Takes the last mark: the height of the stack when it was set.
    pub(super) fn mark(&mut self) -> Checked<usize> {
        let height = self.marks.pop().map(|height| height as usize);
        height
            .filter(|&height| height <= self.stack.len())
            .ok_or_else(|| "the pickle refers to a mark that it did not set".into())
    }

    /// Makes a tuple of the last values.
    pub(super) fn push_tuple(&mut self, count: usize) -> Checked<()> {
        let from = self.below(count)?;
        let items = self.take(from)?;
        self.push_node(Node::Tuple(items))
    }

    /// Returns the position of the last `count` values. Err if a mark lies above.
    pub(super) fn below(&self, count: usize) -> Checked<usize> {
        let floor = self.marks.last().map_or(0, |&height| height as usize);
        let from = self.stack.len().checked_sub(count).filter(|&from| from >= floor);
        from.ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    /// Takes the values from a height on.
    pub(super) fn take(&mut self, from: usize) -> Checked<Vec<Value>> {
        let taken = self.stack.get(from..).unwrap_or_default();
        self.pickle.budget.charge(size_of_val(taken))?;
        let items = taken.to_vec();
        self.stack.truncate(from);
        Ok(items)
    }

    /// The values from a height on join the list below them.
    pub(super) fn append(&mut self, from: usize) -> Checked<()> {
        let from = self.below(self.stack.len().saturating_sub(from))?;
        let Pickle { nodes, budget, .. } = &mut self.pickle;
        let list = from.checked_sub(1).and_then(|at| self.stack.get(at));
        let list = list.and_then(|value| match value {
            Value::Node(id) => nodes.get_mut(*id as usize),
            _ => None,
        });
        let list = match list {
            Some(Node::List(list)) => list,
            // Queues and their like: no tensor that is asked for is in one.
            Some(Node::Object(_)) => {
                self.stack.truncate(from);
                return Ok(());
            }
            _ => return Err("the pickle appends to something that is not a list".into()),
        };
        for &item in self.stack.get(from..).unwrap_or_default() {
            budget.push(list, item)?;
        }
        self.stack.truncate(from);
        Ok(())
    }

    /// The keys and values from a height on go into the dict below them.
    pub(super) fn set_items(&mut self, from: usize) -> Checked<()> {
        let from = self.below(self.stack.len().saturating_sub(from))?;
        let Pickle { nodes, budget, .. } = &mut self.pickle;
        let dict = from.checked_sub(1).and_then(|at| self.stack.get(at));
        let dict = dict.and_then(|value| match value {
            Value::Node(id) => nodes.get_mut(*id as usize),
            _ => None,
        });
        let dict = match dict {
            Some(Node::Dict(dict)) => dict,
            Some(Node::Object(object)) => &mut object.items,
            _ => return Err("the pickle adds to something that is not a dict".into()),
        };
        let (pairs, rest) = self.stack.get(from..).unwrap_or_default().as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a dict in the pickle has a key without a value".into());
        }
        for &[key, value] in pairs {
            budget.push(dict, (key, value))?;
        }
        self.stack.truncate(from);
        Ok(())
    }

    pub(super) fn note(&mut self, index: usize) -> Checked<()> {
        let value = self.top()?;
        let missing = index.saturating_add(1).saturating_sub(self.memo.len());
        self.pickle.budget.reserve(&mut self.memo, missing)?;
        self.memo.resize(self.memo.len() + missing, None);
        if let Some(slot) = self.memo.get_mut(index) {
            *slot = Some(value);
        }
        Ok(())
    }

    pub(super) fn recall(&mut self, index: usize) -> Checked<()> {
        let value = self.memo.get(index).copied().flatten();
        self.push(
            value.ok_or_else(|| {
                format!("the pickle refers to memo {index}, which it did not store")
            })?,
        )
    }
}
