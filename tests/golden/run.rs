//! The one place where graphs of cases become programs.

use crate::case::{Case, Outcome, Results};
use lapidary::gpu::Gpu;
use lapidary::graph::{Graph, Program, Shape, Value};
use lapidary::ops;
use pollster::block_on;

/// How a graph is made ready.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// As built.
    Plain,
}

/// Every case runs each of these ways.
pub const WAYS: &[Way] = &[Way::Plain];

pub struct Runner<'a> {
    pub gpu: &'a Gpu,
    pub way: Way,
}

impl Runner<'_> {
    /// Results are NaN until something writes them.
    pub fn program(&self, graph: Graph, wanted: &[Value], changing: &[Value]) -> Outcome<Program> {
        match self.way {
            Way::Plain => {}
        }
        block_on(async {
            let program = Program::new(self.gpu, &graph, wanted, changing, &[]).await?;
            for &value in wanted {
                let buffer = program.buffer(value)?;
                self.gpu.write(buffer, &vec![f32::NAN; buffer.words() as usize]).await?;
            }
            Ok(program)
        })
    }
}

/// A graph whose inputs are tensors of the file and whose values are results by name.
pub struct Sketch<'a> {
    pub case: &'a Case,
    pub graph: Graph,
    inputs: Vec<(Value, &'a [u32])>,
    results: Vec<(String, Value)>,
}

impl<'a> Sketch<'a> {
    pub fn new(case: &'a Case) -> Self {
        Self { case, graph: Graph::default(), inputs: Vec::new(), results: Vec::new() }
    }

    /// The tensor in the file's shape.
    pub fn input(&mut self, name: &str) -> Outcome<Value> {
        let shape = self.case.tensor(name)?.shape()?;
        self.input_as(name, shape)
    }

    /// One number or label an image.
    pub fn per_image(&mut self, name: &str) -> Outcome<Value> {
        let images = self.case.tensor(name)?.shape()?.elements();
        self.input_as(name, Shape::per_image(images)?)
    }

    pub fn input_as(&mut self, name: &str, shape: Shape) -> Outcome<Value> {
        let value = self.graph.input(shape);
        self.inputs.push((value, self.case.tensor(name)?.words()));
        Ok(value)
    }

    pub fn result(&mut self, name: &str, value: Value) {
        self.results.push((name.to_owned(), value));
    }

    /// y is `out.y`, its upstream gradient `in.dy`, and the gradients of the named values are `grad.NAME`.
    pub fn value_and_gradients(&mut self, y: Value, of: &[(&str, Value)]) -> Outcome<()> {
        self.result("out.y", y);
        let seed = self.input_as("in.dy", self.graph.shape(y)?)?;
        let values: Vec<_> = of.iter().map(|&(_, value)| value).collect();
        let gradients = ops::gradient(&mut self.graph, y, seed, &values)?;
        for ((name, _), gradient) in of.iter().zip(gradients) {
            self.result(&format!("grad.{name}"), gradient);
        }
        Ok(())
    }

    /// One replay.
    pub fn run(self, runner: &Runner) -> Outcome {
        let (names, wanted): (Vec<_>, Vec<_>) = self.results.into_iter().unzip();
        let changing: Vec<_> = self.inputs.iter().map(|&(value, _)| value).collect();
        let program = runner.program(self.graph, &wanted, &changing)?;
        for (value, words) in self.inputs {
            write(&program, value, words)?;
        }
        block_on(program.prepare())?;
        block_on(program.submit())?;
        let results = block_on(program.read_all(&wanted))?;
        Ok(names.into_iter().zip(results).collect())
    }
}

/// Err if the length is wrong.
pub fn write<T: bytemuck::Pod>(program: &Program, value: Value, words: &[T]) -> Outcome<()> {
    Ok(block_on(program.write(value, words))?)
}

/// Adds the contents of values under their names.
pub fn read(program: &Program, named: &[(String, Value)], to: &mut Results) -> Outcome<()> {
    let values: Vec<_> = named.iter().map(|&(_, value)| value).collect();
    let contents = block_on(program.read_all(&values))?;
    to.extend(named.iter().map(|(name, _)| name.clone()).zip(contents));
    Ok(())
}

pub fn replay(program: &Program) -> Outcome<()> {
    Ok(block_on(program.submit())?)
}
