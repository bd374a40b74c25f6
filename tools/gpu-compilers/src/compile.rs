//! Compiles kernels with a Vulkan driver and keeps what the driver reports about each
//! (VK_KHR_pipeline_executable_properties).

#![allow(
    unsafe_code,
    reason = "Vulkan is called without wgpu, which does not tell what drivers say of pipelines"
)]

use crate::figures::{Compiled, Figures, Results};
use crate::kernels::Entry;
use crate::spirv::{self, Kind, Target};
use anyhow::{Context, Result, bail};
use ash::vk;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Instant;

pub fn run(list: &Path, out: &Path, chip: &str, checked: bool) -> Result<()> {
    let text = fs::read_to_string(list).with_context(|| list.display().to_string())?;
    let entries = text.lines().map(serde_json::from_str::<Entry>);
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>().context("the list of kernels")?;
    let folder = out.join(chip);
    fs::create_dir_all(&folder)?;
    let driver = Driver::open(checked)?;
    eprintln!("{chip}: {} ({})", driver.device, driver.version);
    let mut results = Results {
        chip: chip.into(),
        device: driver.device.clone(),
        driver: driver.version.clone(),
        checked,
        kernels: Vec::new(),
    };
    for entry in &entries {
        let made = driver.compile(entry, &folder);
        let made = made.unwrap_or_else(|error| Compiled::failed(entry, &format!("{error:#}")));
        if let Some(failure) = made.failure.as_ref().filter(|_| entry.default) {
            eprintln!("{chip}: {}: {failure}", made.label);
        }
        results.kernels.push(made);
    }
    let path = out.join(format!("{chip}.json"));
    fs::write(&path, serde_json::to_string_pretty(&results)?)?;
    Ok(())
}

/// A device of a driver, with what it can do.
struct Driver {
    device: String,
    version: String,
    target: Target,
    /// Whether it has cooperative matrices.
    matrix: bool,
    /// Whether pipelines may choose their subgroup's size.
    varying_subgroups: bool,
    vulkan: ash::Device,
    reader: ash::khr::pipeline_executable_properties::Device,
    _instance: ash::Instance,
    _entry: ash::Entry,
}

impl Driver {
    /// The first device that the loader finds.
    fn open(checked: bool) -> Result<Self> {
        // SAFETY: every handle is made here, of structs that live as long as the calls, and none is used after it is
        // destroyed: they live until the process ends.
        unsafe {
            let entry = ash::Entry::load().context("the Vulkan loader")?;
            let app = vk::ApplicationInfo::default()
                .api_version(vk::API_VERSION_1_3)
                .engine_name(c"wgpu-hal");
            let created = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&created, None)?;
            let physical = instance.enumerate_physical_devices()?;
            let &physical = physical.first().context("the driver shows no device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(physical, &mut properties);
            let properties = properties.properties;
            let extensions = instance.enumerate_device_extension_properties(physical)?;
            let has = |name: &CStr| {
                extensions.iter().any(|each| each.extension_name_as_c_str() == Ok(name))
            };
            if !has(vk::KHR_PIPELINE_EXECUTABLE_PROPERTIES_NAME) {
                bail!("the driver does not tell what it makes of pipelines");
            }
            let vulkan_1_3 = properties.api_version >= vk::API_VERSION_1_3;
            let mut has_12 = vk::PhysicalDeviceVulkan12Features::default();
            let mut has_13 = vk::PhysicalDeviceVulkan13Features::default();
            let mut has_16 = vk::PhysicalDevice16BitStorageFeatures::default();
            let mut has_robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
            let mut has_matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
            let mut asked = vk::PhysicalDeviceFeatures2::default()
                .push_next(&mut has_12)
                .push_next(&mut has_16);
            if vulkan_1_3 {
                asked = asked.push_next(&mut has_13);
            }
            if has(vk::EXT_ROBUSTNESS2_NAME) {
                asked = asked.push_next(&mut has_robust);
            }
            if has(vk::KHR_COOPERATIVE_MATRIX_NAME) {
                asked = asked.push_next(&mut has_matrix);
            }
            instance.get_physical_device_features2(physical, &mut asked);
            let core = asked.features;
            let robust = has_robust.robust_buffer_access2 == vk::TRUE;
            let matrix = has_matrix.cooperative_matrix == vk::TRUE;
            let half =
                has_12.shader_float16 == vk::TRUE && has_16.storage_buffer16_bit_access == vk::TRUE;

            let mut enabled = vec![vk::KHR_PIPELINE_EXECUTABLE_PROPERTIES_NAME.as_ptr()];
            let mut with_12 = vk::PhysicalDeviceVulkan12Features::default()
                .shader_float16(half)
                .timeline_semaphore(true)
                .vulkan_memory_model(matrix)
                .vulkan_memory_model_device_scope(matrix);
            let mut with_13 = vk::PhysicalDeviceVulkan13Features::default()
                .robust_image_access(has_13.robust_image_access == vk::TRUE)
                .subgroup_size_control(has_13.subgroup_size_control == vk::TRUE)
                .shader_zero_initialize_workgroup_memory(
                    has_13.shader_zero_initialize_workgroup_memory == vk::TRUE,
                );
            let mut with_16 =
                vk::PhysicalDevice16BitStorageFeatures::default().storage_buffer16_bit_access(half);
            let mut with_robust =
                vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(robust);
            let mut with_matrix =
                vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
            let mut with_told =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                    .pipeline_executable_info(true);
            let features = vk::PhysicalDeviceFeatures {
                robust_buffer_access: core.robust_buffer_access,
                shader_int16: core.shader_int16,
                ..Default::default()
            };
            let queues = [vk::DeviceQueueCreateInfo::default()
                .queue_family_index(0)
                .queue_priorities(&[1.0])];
            let mut created = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_features(&features)
                .push_next(&mut with_12)
                .push_next(&mut with_16)
                .push_next(&mut with_told);
            if vulkan_1_3 {
                created = created.push_next(&mut with_13);
            }
            if robust {
                enabled.push(vk::EXT_ROBUSTNESS2_NAME.as_ptr());
                created = created.push_next(&mut with_robust);
            }
            if matrix {
                enabled.push(vk::KHR_COOPERATIVE_MATRIX_NAME.as_ptr());
                created = created.push_next(&mut with_matrix);
            }
            let vulkan = instance.create_device(
                physical,
                &created.enabled_extension_names(&enabled),
                None,
            )?;
            let reader = ash::khr::pipeline_executable_properties::Device::new(&instance, &vulkan);
            let target = Target {
                vulkan_1_3,
                robust_buffers: robust,
                robust_images: has_13.robust_image_access == vk::TRUE,
                checked,
            };
            Ok(Self {
                device: text(&properties.device_name),
                version: text(&driver.driver_info),
                target,
                matrix,
                varying_subgroups: has_13.subgroup_size_control == vk::TRUE,
                vulkan,
                reader,
                _instance: instance,
                _entry: entry,
            })
        }
    }

    /// Compiles a kernel; the machine code goes into `folder`.
    fn compile(&self, entry: &Entry, folder: &Path) -> Result<Compiled> {
        if entry.text.contains("coop_mat") && !self.matrix {
            bail!("the driver has no cooperative matrices");
        }
        let module = spirv::translate(entry, self.target)?;
        let stem = file_stem(&entry.label());
        let of = |(binding, kind): &(u32, Kind)| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(*binding)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
                .descriptor_type(match kind {
                    Kind::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
                    Kind::Storage => vk::DescriptorType::STORAGE_BUFFER,
                    Kind::Texture => vk::DescriptorType::SAMPLED_IMAGE,
                })
        };
        let bindings: Vec<_> = module.bindings.iter().map(of).collect();
        // SAFETY: as for `open`; the module was validated by naga.
        unsafe {
            let described = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.vulkan.create_descriptor_set_layout(&described, None)?];
            let described = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.vulkan.create_pipeline_layout(&described, None)?;
            let described = vk::ShaderModuleCreateInfo::default().code(&module.words);
            let shader = self.vulkan.create_shader_module(&described, None)?;
            let mut stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(shader)
                .name(c"main");
            if self.varying_subgroups {
                stage =
                    stage.flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE);
            }
            let described = [vk::ComputePipelineCreateInfo::default()
                .flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                )
                .stage(stage)
                .layout(layout)];
            let begun = Instant::now();
            let printed = folder.join(format!("{stem}.agx.txt"));
            let made = printing_to(&printed, || {
                self.vulkan.create_compute_pipelines(vk::PipelineCache::null(), &described, None)
            })?;
            let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
            if fs::metadata(&printed)?.len() == 0 {
                fs::remove_file(&printed)?;
            }
            let pipelines = made.map_err(|(_, error)| error).context("vkCreateComputePipelines")?;
            let &pipeline = pipelines.first().context("no pipeline")?;
            let statistics = self.told(pipeline, folder, &stem)?;
            let described = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let executables = self.reader.get_pipeline_executable_properties(&described)?;
            let lanes = executables.first().map_or(0, |each| each.subgroup_size);
            self.vulkan.destroy_pipeline(pipeline, None);
            self.vulkan.destroy_shader_module(shader, None);
            let mut figures = Figures::of(&statistics);
            (figures.invocations, figures.lanes) = (module.invocations, lanes);
            Ok(Compiled::new(entry, figures, milliseconds, folder, &stem))
        }
    }

    /// The driver's statistics of a pipeline by their names; its machine code goes into files.
    ///
    /// # Safety
    ///
    /// The pipeline has to be one of this device that is not destroyed.
    unsafe fn told(
        &self,
        pipeline: vk::Pipeline,
        folder: &Path,
        stem: &str,
    ) -> Result<BTreeMap<String, f64>> {
        let read = self.reader.fp();
        let device = self.vulkan.handle();
        let which = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        let mut statistics = BTreeMap::new();
        // SAFETY: each list is asked for its length first and then filled up to it, as Vulkan's specification says.
        unsafe {
            let mut count = 0;
            (read.get_pipeline_executable_statistics_khr)(
                device,
                &which,
                &mut count,
                std::ptr::null_mut(),
            )
            .result()?;
            let mut list = vec![vk::PipelineExecutableStatisticKHR::default(); count as usize];
            (read.get_pipeline_executable_statistics_khr)(
                device,
                &which,
                &mut count,
                list.as_mut_ptr(),
            )
            .result()?;
            for each in &list {
                let value = match each.format {
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => each.value.f64,
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => each.value.i64 as f64,
                    vk::PipelineExecutableStatisticFormatKHR::BOOL32 => f64::from(each.value.b32),
                    _ => each.value.u64 as f64,
                };
                statistics.insert(text(&each.name), value);
            }
            let mut count = 0;
            (read.get_pipeline_executable_internal_representations_khr)(
                device,
                &which,
                &mut count,
                std::ptr::null_mut(),
            )
            .result()?;
            let mut list =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            (read.get_pipeline_executable_internal_representations_khr)(
                device,
                &which,
                &mut count,
                list.as_mut_ptr(),
            )
            .result()?;
            let mut contents: Vec<Vec<u8>> =
                list.iter().map(|each| vec![0; each.data_size]).collect();
            for (each, bytes) in list.iter_mut().zip(&mut contents) {
                each.p_data = bytes.as_mut_ptr().cast();
            }
            (read.get_pipeline_executable_internal_representations_khr)(
                device,
                &which,
                &mut count,
                list.as_mut_ptr(),
            )
            .result()?;
            for (each, bytes) in list.iter().zip(&contents) {
                let written = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                let name = text(&each.name).replace([' ', '/'], "-");
                fs::write(folder.join(format!("{stem}.{name}.txt")), written)?;
            }
        }
        Ok(statistics)
    }
}

/// Runs `work` while what C code prints goes into a file: Honeykrisp tells its machine code in no other way.
fn printing_to<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T> {
    let file = File::create(path)?;
    // SAFETY: the descriptors are open: 1 and 2 by convention, the others as made here and in the line above.
    unsafe {
        let saved = [libc::dup(1), libc::dup(2)];
        libc::fflush(std::ptr::null_mut());
        libc::dup2(file.as_raw_fd(), 1);
        libc::dup2(file.as_raw_fd(), 2);
        let made = work();
        libc::fflush(std::ptr::null_mut());
        for (to, from) in [1, 2].into_iter().zip(saved) {
            libc::dup2(from, to);
            libc::close(from);
        }
        Ok(made)
    }
}

/// A label as a part of a file's name.
fn file_stem(label: &str) -> String {
    label.replace([' ', '='], "_")
}

/// A name in a fixed array, as Vulkan gives it.
fn text(raw: &[c_char]) -> String {
    let bytes: Vec<u8> = raw.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
