//! Compares a kernel's declaration with its WGSL at the first use. It finds mistakes that a driver would accept
//! silently, such as parameters in another order, and mistakes that it would report by a number without a name, such as a
//! missing binding.

use super::{Access, Kernel};
use crate::{Error, Result};
use wgpu::naga::{self, AddressSpace, Module, Scalar, StorageAccess, TypeInner};

impl Kernel {
    /// Checks that the kernel's declared bindings and parameters are those of its WGSL. Err if they differ; a shader that cannot
    /// be parsed passes, because the device reports it.
    pub fn check(&self) -> Result<()> {
        let Ok(module) = naga::front::wgsl::parse_str(&self.text()) else { return Ok(()) };
        for (_, variable) in module.global_variables.iter() {
            let Some(slot) = variable.binding else { continue };
            let name = variable.name.as_deref().unwrap_or_default();
            if slot.group != 0 {
                let given = format_args!("`{name}` in group {}", slot.group);
                return Err(Error::mismatch(self.name, given, "all bindings in group 0"));
            }
            match (slot.binding as usize).checked_sub(1) {
                None => self.check_params(&module, variable.ty, name)?,
                Some(place) => {
                    let access = access(variable.space, module.types.get_handle(variable.ty).ok());
                    self.check_binding(place, name, access)?;
                }
            }
        }
        Ok(())
    }

    /// Checks one binding of the shader against its declaration at `place`.
    fn check_binding(&self, place: usize, name: &str, access: Option<Access>) -> Result<()> {
        let binding = place + 1;
        let given = format_args!("`{name}` at binding {binding} of the shader");
        let Some(&(listed, wanted)) = self.bindings.get(place) else {
            let names: Vec<_> = self.bindings.iter().map(|(name, _)| *name).collect();
            let wanted = format_args!("bindings 1 to {}: {}", names.len(), names.join(", "));
            return Err(Error::mismatch(self.name, given, wanted));
        };
        if listed != name {
            let wanted = format_args!("`{listed}`, as the kernel's binding list has it");
            return Err(Error::mismatch(self.name, given, wanted));
        }
        if access != Some(wanted) {
            let found = access.map_or("none (no storage)".into(), |access| format!("{access:?}"));
            let given = format_args!("access {found} of `{name}` in the shader");
            let wanted = format_args!("access {wanted:?}, as the kernel's binding list has it");
            return Err(Error::mismatch(self.name, given, wanted));
        }
        Ok(())
    }

    /// Binding 0, a struct or one number.
    fn check_params(
        &self,
        module: &Module,
        ty: naga::Handle<naga::Type>,
        name: &str,
    ) -> Result<()> {
        let Ok(ty) = module.types.get_handle(ty) else { return Ok(()) };
        let layout = &self.params;
        if let TypeInner::Struct { members, .. } = &ty.inner {
            let found = members.iter().map(|member| {
                let ty = module.types.get_handle(member.ty).ok();
                let scalar = ty.and_then(|ty| scalar(&ty.inner)).unwrap_or("of another type");
                (member.name.as_deref().unwrap_or_default(), scalar, member.offset as usize)
            });
            let found: Vec<_> = found.collect();
            if found != layout.fields {
                let given = format_args!("a parameter layout of {}", fields(layout.fields));
                let wanted = format_args!("that of the shader's `{name}`: {}", fields(&found));
                return Err(Error::mismatch(self.name, given, wanted));
            }
        }
        let size = ty.inner.try_size(module.to_ctx()).map_or(usize::MAX, |size| size as usize);
        if size != layout.size {
            let given = format_args!("parameters of {} bytes", layout.size);
            let wanted = format_args!("{size} bytes, as the shader's `{name}` has");
            return Err(Error::mismatch(self.name, given, wanted));
        }
        Ok(())
    }
}

/// Checks a kernel before a pipeline is made of it.
pub(super) fn check(kernel: &Kernel) -> Result<()> {
    kernel.check()
}

fn fields(all: &[(&str, &str, usize)]) -> String {
    let one = |(name, ty, offset): &(&str, &str, usize)| format!("{name}: {ty} at {offset}");
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Returns how the shader uses a binding.
fn access(space: AddressSpace, ty: Option<&naga::Type>) -> Option<Access> {
    match space {
        AddressSpace::Handle if matches!(ty?.inner, TypeInner::Image { .. }) => {
            Some(Access::Texels)
        }
        AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
            Some(Access::Write)
        }
        AddressSpace::Storage { .. } => Some(Access::Read),
        _ => None,
    }
}

fn scalar(ty: &TypeInner) -> Option<&'static str> {
    match ty {
        TypeInner::Scalar(Scalar::U32) => Some("u32"),
        TypeInner::Scalar(Scalar::I32) => Some("i32"),
        TypeInner::Scalar(Scalar::F32) => Some("f32"),
        _ => None,
    }
}
