//! Reports indices out of range: puts a test before each index, texel read and integer division of a kernel's shader, and
//! keeps the tests' results in a buffer beside the kernel's own. With these tests the library shows that its kernels may run without
//! wgpu's checks, and the author of a new kernel sees mistakes that drivers ignore.

use super::{Buffer, Gpu, Kernel};
use crate::{Error, Result};
use std::sync::{Mutex, OnceLock, PoisonError};
use wgpu::naga::back::pipeline_constants::process_overrides;
use wgpu::naga::proc::IndexableLength;
use wgpu::naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use wgpu::naga::{
    self, AddressSpace, ArraySize, BinaryOperator, Block, Expression, Function, GlobalVariable,
    Handle, ImageQuery, Literal, Module, Range, RelationalFunction, ScalarKind, Span, Statement,
    StorageAccess, SwitchCase, Type, TypeInner, UnaryOperator,
};

/// Pipelines that a device can report of.
const SLOTS: u32 = 4096;

/// The reports of a device's kernels about invalid indices and divisions.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// One word for each pipeline: 0, or 1 plus the index of a test in the pipeline's list.
    buffer: OnceLock<Buffer>,
    /// The kernel of each pipeline, with a description of each of its tests.
    slots: Mutex<Vec<(&'static str, Vec<String>)>>,
}

impl Reports {
    /// Makes the buffer that launches bind behind their own, unless it is there.
    pub async fn prepare(&self, gpu: &Gpu) -> Result<()> {
        if self.buffer.get().is_none()
            && let Some(made) = gpu.allocate(&[SLOTS]).await?.pop()
        {
            // Another thread's is as good.
            self.buffer.get_or_init(|| made);
        }
        Ok(())
    }

    /// Returns the buffer into which shaders report invalid indices, once it is made.
    pub fn buffer(&self) -> Option<&Buffer> {
        self.buffer.get()
    }

    /// Returns a kernel's shader, whose WGSL is `text`, with tests inserted, for one pipeline: the values of its overrides are
    /// given, so that each array's length is known.
    pub fn shader(
        &self,
        kernel: &Kernel,
        text: &str,
        constants: &[(&'static str, f64)],
    ) -> Result<Module> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.len() as u32;
        if slot >= SLOTS {
            let given = format_args!("{} pipelines", slot + 1);
            return Err(Error::mismatch("shader checks", given, format_args!("at most {SLOTS}")));
        }
        let wrong = |reason: String| Error::Gpu {
            doing: format!("reading the kernel {}", kernel.name),
            reason,
        };
        let module =
            naga::front::wgsl::parse_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
        let info = validator.validate(&module).map_err(|error| wrong(error.to_string()))?;
        let constants = constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let stage = Some((naga::ShaderStage::Compute, "main"));
        let (module, info) = process_overrides(&module, &info, stage, &constants)
            .map_err(|error| wrong(error.to_string()))?;
        let mut module = module.into_owned();
        let binding = kernel.bindings.len() as u32 + 1;
        slots.push((kernel.name, instrument(&mut module, &info, binding, slot)));
        Ok(module)
    }
}

impl Gpu {
    /// Returns what kernels reported since the last call, in words.
    async fn reported(&self) -> Result<Vec<String>> {
        let Some(buffer) = self.reports.buffer.get() else { return Ok(Vec::new()) };
        let words = self.read_unreported(&[buffer]).await?.pop().unwrap_or_default();
        if words.iter().all(|word| word.to_bits() == 0) {
            return Ok(Vec::new());
        }
        self.write(buffer, &vec![0.0f32; words.len()]).await?;
        let slots = self.reports.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let told = slots.iter().zip(words).filter_map(|((kernel, places), word)| {
            let place = places.get((word.to_bits() as usize).checked_sub(1)?)?;
            Some(format!("{kernel} {place}"))
        });
        Ok(told.collect())
    }

    /// Reads the reports. Err if a kernel indexed beyond an array or divided by zero; the error names the kernel and the
    /// variable.
    pub(super) async fn expect_no_reports(&self) -> Result<()> {
        let reported = self.reported().await?;
        match reported.is_empty() {
            true => Ok(()),
            false => {
                Err(Error::Gpu { doing: "checking indices".into(), reason: reported.join("; ") })
            }
        }
    }
}

/// Inserts the tests into all functions, and returns their descriptions in the order of their numbers.
fn instrument(module: &mut Module, info: &ModuleInfo, binding: u32, slot: u32) -> Vec<String> {
    let mut insert = |inner| module.types.insert(Type { name: None, inner }, Span::UNDEFINED);
    let word = insert(TypeInner::Scalar(naga::Scalar::U32));
    let size = std::num::NonZeroU32::new(SLOTS).map_or(ArraySize::Dynamic, ArraySize::Constant);
    let words = insert(TypeInner::Array { base: word, size, stride: 4 });
    let reports = module.global_variables.append(
        GlobalVariable {
            name: Some("reports".into()),
            space: AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE },
            binding: Some(naga::ResourceBinding { group: 0, binding }),
            ty: words,
            init: None,
            memory_decorations: Default::default(),
        },
        Span::UNDEFINED,
    );
    let mut places = Vec::new();
    let functions: Vec<_> = module.functions.iter().map(|(handle, _)| handle).collect();
    for handle in functions {
        let mut function = std::mem::take(module.functions.get_mut(handle));
        Tests { module, info: &info[handle], reports, slot, places: &mut places }
            .insert(&mut function);
        *module.functions.get_mut(handle) = function;
    }
    for i in 0..module.entry_points.len() {
        let Some(entry) = module.entry_points.get_mut(i) else { continue };
        let mut function = std::mem::take(&mut entry.function);
        let info = info.get_entry_point(i);
        Tests { module, info, reports, slot, places: &mut places }.insert(&mut function);
        if let Some(entry) = module.entry_points.get_mut(i) {
            entry.function = function;
        }
    }
    places
}

/// Inserts the tests into one function.
struct Tests<'a> {
    module: &'a Module,
    info: &'a naga::valid::FunctionInfo,
    reports: Handle<GlobalVariable>,
    slot: u32,
    places: &'a mut Vec<String>,
}

/// The length of an indexed array or vector.
enum Length {
    Words(u32),
    /// The index goes as far as the array does that this points to.
    Array(Handle<Expression>),
    /// Over the image's texels, in each direction.
    Texels(Handle<Expression>),
}

impl Tests<'_> {
    fn insert(&mut self, function: &mut Function) {
        let body = std::mem::take(&mut function.body);
        function.body = self.block(function, body);
    }

    fn block(&mut self, function: &mut Function, block: Block) -> Block {
        let mut made = Block::new();
        for (statement, span) in block.span_into_iter() {
            match statement {
                Statement::Emit(range) => self.emit(function, range, &mut made),
                Statement::Block(inner) => {
                    made.push(Statement::Block(self.block(function, inner)), span)
                }
                Statement::If { condition, accept, reject } => {
                    let (accept, reject) =
                        (self.block(function, accept), self.block(function, reject));
                    made.push(Statement::If { condition, accept, reject }, span);
                }
                Statement::Switch { selector, cases } => {
                    let cases = cases
                        .into_iter()
                        .map(|case| SwitchCase { body: self.block(function, case.body), ..case });
                    let cases = cases.collect();
                    made.push(Statement::Switch { selector, cases }, span);
                }
                Statement::Loop { body, continuing, break_if } => {
                    let (body, continuing) =
                        (self.block(function, body), self.block(function, continuing));
                    made.push(Statement::Loop { body, continuing, break_if }, span);
                }
                other => made.push(other, span),
            }
        }
        made
    }

    /// Copies a range of expressions, which are computed in order, with each test right before the expression that it
    /// guards.
    fn emit(&mut self, function: &mut Function, range: Range<Expression>, made: &mut Block) {
        let mut pending: Option<(Handle<Expression>, Handle<Expression>)> = None;
        for handle in range {
            if let Some(test) = self.test(function, handle) {
                if let Some((first, last)) = pending.take() {
                    made.push(
                        Statement::Emit(Range::new_from_bounds(first, last)),
                        Span::UNDEFINED,
                    );
                }
                made.extend_block(test);
            }
            pending = Some((pending.map_or(handle, |(first, _)| first), handle));
        }
        if let Some((first, last)) = pending {
            made.push(Statement::Emit(Range::new_from_bounds(first, last)), Span::UNDEFINED);
        }
    }

    /// Statements that report if this expression indexes too far or divides by zero.
    fn test(&mut self, function: &mut Function, handle: Handle<Expression>) -> Option<Block> {
        match *function.expressions.try_get(handle).ok()? {
            Expression::Access { base, index } => {
                let length = self.length(base)?;
                let name = self.name(function, base);
                Some(self.compare(function, index, length, format!("indexes beyond `{name}`")))
            }
            Expression::ImageLoad { image, coordinate, .. } => {
                let name = self.name(function, image);
                let place = format!("loads a texel beyond `{name}`");
                Some(self.compare(function, coordinate, Length::Texels(image), place))
            }
            Expression::Binary {
                op: BinaryOperator::Divide | BinaryOperator::Modulo,
                right,
                ..
            } => {
                let integer =
                    self.inner(right).scalar_kind().is_some_and(|kind| kind != ScalarKind::Float);
                integer.then(|| self.divisor(function, right))
            }
            _ => None,
        }
    }

    fn inner(&self, expression: Handle<Expression>) -> &TypeInner {
        self.info[expression].ty.inner_with(&self.module.types)
    }

    /// Returns the length of an indexed expression.
    fn length(&self, base: Handle<Expression>) -> Option<Length> {
        let pointed = match self.inner(base) {
            TypeInner::Pointer { base, .. } => &self.module.types.get_handle(*base).ok()?.inner,
            other => other,
        };
        match *pointed {
            TypeInner::Array { size, .. } => match size.resolve(self.module.to_ctx()).ok()? {
                IndexableLength::Known(count) => Some(Length::Words(count)),
                IndexableLength::Dynamic => Some(Length::Array(base)),
            },
            TypeInner::Vector { size, .. } | TypeInner::ValuePointer { size: Some(size), .. } => {
                Some(Length::Words(size as u32))
            }
            TypeInner::Matrix { columns, .. } => Some(Length::Words(columns as u32)),
            _ => None,
        }
    }

    /// The variable's, where there is one.
    fn name(&self, function: &Function, mut of: Handle<Expression>) -> String {
        let name = loop {
            match function.expressions.try_get(of).ok() {
                Some(&(Expression::Access { base, .. } | Expression::AccessIndex { base, .. })) => {
                    of = base
                }
                Some(&Expression::GlobalVariable(global)) => {
                    break self
                        .module
                        .global_variables
                        .try_get(global)
                        .ok()
                        .and_then(|global| global.name.clone());
                }
                Some(&Expression::LocalVariable(local)) => {
                    break function
                        .local_variables
                        .try_get(local)
                        .ok()
                        .and_then(|local| local.name.clone());
                }
                _ => break function.named_expressions.get(&of).cloned(),
            }
        };
        name.unwrap_or_else(|| "a value without a name".into())
    }

    /// Adds a report where the index, or one of the coordinates, is the length or more. Negative indices count as large
    /// ones.
    fn compare(
        &mut self,
        function: &mut Function,
        index: Handle<Expression>,
        length: Length,
        place: String,
    ) -> Block {
        let mut append = |expression| function.expressions.append(expression, Span::UNDEFINED);
        let mut block = Block::new();
        // What has to be computed comes behind what is only named.
        let (named, computed) = match length {
            Length::Words(count) => (Some(append(Expression::Literal(Literal::U32(count)))), None),
            Length::Array(base) => (None, Some(append(Expression::ArrayLength(base)))),
            Length::Texels(image) => {
                let query = ImageQuery::Size { level: None };
                (None, Some(append(Expression::ImageQuery { image, query })))
            }
        };
        let kind = self.inner(index).scalar_kind();
        let vector = matches!(self.inner(index), TypeInner::Vector { .. });
        let to_unsigned = |expr| Expression::As { expr, kind: ScalarKind::Uint, convert: None };
        let index = match kind {
            Some(ScalarKind::Sint) => append(to_unsigned(index)),
            _ => index,
        };
        let Some(length) = named.or(computed) else { return block };
        let beyond =
            Expression::Binary { op: BinaryOperator::GreaterEqual, left: index, right: length };
        let mut condition = append(beyond);
        if vector {
            condition = append(Expression::Relational {
                fun: RelationalFunction::Any,
                argument: condition,
            });
        }
        let first = match (kind, computed) {
            (_, Some(computed)) => computed,
            (Some(ScalarKind::Sint), None) => index,
            _ if vector => return block,
            _ => condition,
        };
        block.push(Statement::Emit(Range::new_from_bounds(first, condition)), Span::UNDEFINED);
        self.report(function, condition, place, &mut block);
        block
    }

    /// Makes a block that reports a divisor, or a component of it, that is zero.
    fn divisor(&mut self, function: &mut Function, divisor: Handle<Expression>) -> Block {
        let vector = matches!(self.inner(divisor), TypeInner::Vector { .. });
        let mut append = |expression| function.expressions.append(expression, Span::UNDEFINED);
        let first =
            append(Expression::As { expr: divisor, kind: ScalarKind::Bool, convert: Some(1) });
        let some = match vector {
            true => {
                append(Expression::Relational { fun: RelationalFunction::All, argument: first })
            }
            false => first,
        };
        let condition = append(Expression::Unary { op: UnaryOperator::LogicalNot, expr: some });
        let mut block = Block::new();
        block.push(Statement::Emit(Range::new_from_bounds(first, condition)), Span::UNDEFINED);
        self.report(function, condition, "divides by zero".into(), &mut block);
        block
    }

    /// If the condition holds, writes the number of the place into the pipeline's word.
    fn report(
        &mut self,
        function: &mut Function,
        condition: Handle<Expression>,
        place: String,
        block: &mut Block,
    ) {
        self.places.push(place);
        let number = self.places.len() as u32;
        let mut append = |expression| function.expressions.append(expression, Span::UNDEFINED);
        let value = append(Expression::Literal(Literal::U32(number)));
        let base = append(Expression::GlobalVariable(self.reports));
        let pointer = append(Expression::AccessIndex { base, index: self.slot });
        let mut accept = Block::new();
        accept.push(Statement::Emit(Range::new_from_bounds(pointer, pointer)), Span::UNDEFINED);
        accept.push(Statement::Store { pointer, value }, Span::UNDEFINED);
        block.push(Statement::If { condition, accept, reject: Block::new() }, Span::UNDEFINED);
    }
}
