//! Compiles and runs the computation graph of a reference case on the adapter.

use crate::case::{Case, Outcome, Results};
use lapidary::gpu::{Buffer, Gpu, Lowering, Precision, Preferences};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::model::{Parameter, StateDict, Weights};
use lapidary::ops;
use pollster::block_on;

/// The way in which a graph is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As built.
    Plain,
    /// Rewritten for the device, as everything the library does for users is.
    Rewritten,
    /// Rewritten, in mixed precision.
    Mixed,
}

impl Way {
    /// The device with this way of making programs ready.
    fn of(self, gpu: &Gpu) -> Gpu {
        let lowering = match self {
            Self::Plain => Lowering::Plain,
            Self::Rewritten | Self::Mixed => Lowering::Full,
        };
        let precision = if self == Self::Mixed { Precision::Mixed } else { Precision::Single };
        let preferences = gpu.preferences().as_ref().clone();
        gpu.clone().preferring(Preferences { lowering, precision, ..preferences })
    }
}

pub struct Runner {
    pub gpu: Gpu,
}

impl Runner {
    pub fn new(gpu: &Gpu, way: Way) -> Self {
        Self { gpu: way.of(gpu) }
    }

    /// Results are NaN until something writes them; buffers that are `given` stay as they are.
    pub fn program(
        &self,
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        given: &[(Value, Buffer)],
    ) -> Outcome<Program> {
        block_on(async {
            let gpu = &self.gpu;
            let program = Program::new(gpu, graph, wanted, changing, given).await?;
            for value in wanted.iter().filter(|value| !given.iter().any(|(id, _)| id == *value)) {
                let buffer = program.buffer(*value)?;
                gpu.write(buffer, &vec![f32::NAN; buffer.words() as usize]).await?;
            }
            Ok(program)
        })
    }
}

/// A graph whose inputs are tensors of the file and whose values are results by name.
pub struct Sketch<'a> {
    pub case: &'a Case,
    pub graph: Graph,
    inputs: Vec<(Value, Vec<u32>)>,
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

    /// One number or label for each image.
    pub fn per_image(&mut self, name: &str) -> Outcome<Value> {
        let images = self.case.tensor(name)?.shape()?.elements();
        self.input_as(name, Shape::per_image(images)?)
    }

    pub fn input_as(&mut self, name: &str, shape: Shape) -> Outcome<Value> {
        let words = self.case.tensor(name)?.words().to_vec();
        Ok(self.input_of(shape, words))
    }

    /// One number everywhere.
    pub fn constant(&mut self, shape: Shape, number: f32) -> Value {
        self.input_of(shape, vec![number.to_bits(); shape.elements() as usize])
    }

    /// A value for each parameter, with what `state` holds for it.
    pub fn weights(&mut self, parameters: &[Parameter], state: &StateDict) -> Outcome<Weights> {
        let weights = Weights::inputs(&mut self.graph, parameters)?;
        for (name, value) in weights.iter() {
            let words = bytemuck::cast_slice(&state.get(name)?.data).to_vec();
            self.inputs.push((value, words));
        }
        Ok(weights)
    }

    fn input_of(&mut self, shape: Shape, words: Vec<u32>) -> Value {
        let value = self.graph.input(shape);
        self.inputs.push((value, words));
        value
    }

    pub fn result(&mut self, name: &str, value: Value) {
        self.results.push((name.to_owned(), value));
    }

    /// y is `out.y`, its upstream gradient `in.dy`, and the gradients of the named values are `grad.NAME`.
    pub fn value_and_gradients(&mut self, y: Value, of: &[(&str, Value)]) -> Outcome<()> {
        self.result("out.y", y);
        let seed = self.input_as("in.dy", self.graph.shape(y)?)?;
        self.gradients(y, seed, of)
    }

    /// Those of sum(y seed) for the named values are `grad.NAME`.
    pub fn gradients(&mut self, y: Value, seed: Value, of: &[(&str, Value)]) -> Outcome<()> {
        let values: Vec<_> = of.iter().map(|&(_, value)| value).collect();
        let gradients = ops::gradient(&mut self.graph, y, seed, &values)?;
        for ((name, _), gradient) in of.iter().zip(gradients) {
            self.result(&format!("grad.{name}"), gradient);
        }
        Ok(())
    }

    /// Runs the program once.
    pub fn run(self, runner: &Runner) -> Outcome {
        let (names, wanted): (Vec<_>, Vec<_>) = self.results.into_iter().unzip();
        let changing: Vec<_> = self.inputs.iter().map(|&(value, _)| value).collect();
        let mut program = runner.program(&self.graph, &wanted, &changing, &[])?;
        for (value, words) in self.inputs {
            write(&mut program, value, &words)?;
        }
        block_on(program.submit())?;
        let results = block_on(program.read_all(&wanted))?;
        Ok(names.into_iter().zip(results).collect())
    }
}

/// Err if the length is wrong.
pub fn write<T: bytemuck::Pod>(program: &mut Program, value: Value, words: &[T]) -> Outcome<()> {
    Ok(block_on(program.write(value, words))?)
}

/// Adds the contents of values under their names.
pub fn read(program: &Program, named: &[(String, Value)], to: &mut Results) -> Outcome<()> {
    let values: Vec<_> = named.iter().map(|&(_, value)| value).collect();
    let contents = block_on(program.read_all(&values))?;
    to.extend(named.iter().map(|(name, _)| name.clone()).zip(contents));
    Ok(())
}

pub fn replay(program: &mut Program) -> Outcome<()> {
    Ok(block_on(program.submit())?)
}
