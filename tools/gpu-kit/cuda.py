"""NVRTC and the driver through ctypes: enough to run a kernel of words in, words out."""
import ctypes
import os

import kit


class CudaError(Exception):
    pass


def compile(source, architecture):
    """Machine code of CUDA C++ for "sm_80"."""
    folder = kit.nvrtc_folder()
    if not folder:
        kit.skip(f"no NVRTC for {architecture}: neither the CUDA toolkit nor PyTorch's nvidia-cuda-nvrtc is here")
    name = next(name for name in sorted(os.listdir(folder)) if name.startswith("libnvrtc.so.1"))
    nvrtc = ctypes.CDLL(os.path.join(folder, name))
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"wrappers.cu", 0, None, None)
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"--fmad=false"]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    if code:
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise CudaError(f"NVRTC refuses wrappers.cu for {architecture}: {log.value.decode()}")
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    result = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, result)
    return result.raw


class Module:
    """Loaded machine code, in the first GPU's primary context."""

    def __init__(self, driver, image):
        self.driver = driver
        device, context, self.handle = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self.check("cuDeviceGet", ctypes.byref(device), 0)
        self.check("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.check("cuCtxSetCurrent", context)
        self.check("cuModuleLoadData", ctypes.byref(self.handle), image)

    def check(self, function, *arguments):
        code = getattr(self.driver, function)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorString(code, ctypes.byref(text))
            raise CudaError(f"{function}: {(text.value or b'unknown').decode()} (CUDA error {code})")

    def run(self, kernel, words, results, shared):
        """One warp of `kernel(in, out)`; `results` 32-bit words."""
        function, inputs, outputs = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_uint64()
        self.check("cuModuleGetFunction", ctypes.byref(function), self.handle, kernel.encode())
        host, back = (ctypes.c_uint32 * len(words))(*words), (ctypes.c_uint32 * results)()
        self.check("cuMemAlloc_v2", ctypes.byref(inputs), ctypes.c_size_t(ctypes.sizeof(host)))
        self.check("cuMemAlloc_v2", ctypes.byref(outputs), ctypes.c_size_t(ctypes.sizeof(back)))
        self.check("cuMemcpyHtoD_v2", inputs, host, ctypes.c_size_t(ctypes.sizeof(host)))
        parameters = (ctypes.c_void_p * 2)(ctypes.addressof(inputs), ctypes.addressof(outputs))
        self.check("cuLaunchKernel", function, 1, 1, 1, 32, 1, 1, shared, None, parameters, None)
        self.check("cuMemcpyDtoH_v2", back, outputs, ctypes.c_size_t(ctypes.sizeof(back)))
        self.check("cuMemFree_v2", inputs)
        self.check("cuMemFree_v2", outputs)
        return list(back)
