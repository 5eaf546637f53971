/* The C interface of libfrugal_cuda.so: plain structs and raw pointers, so that the module and the
 * program that opens it need share no C++ library, no LibTorch and no CUDA header.
 *
 * Pointers named "device" point into the memory of one CUDA device; all others into host memory,
 * read before the call returns. Work is queued on the legacy default stream, in order with
 * LibTorch's default stream; calls return before it is done, copies to host memory excepted.
 * Functions return 0 or a CUDA error code for error_text(). Strides count elements (bytes for
 * parameters) from one row to the next. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Raised by every change of this file. */
#define FRUGAL_CUDA_ABI 1u
/* Columns of a sweep at most, and of a grid block that is fitted on the device. */
#define FRUGAL_CUDA_LARGEST_WINDOW 256
#define FRUGAL_CUDA_LARGEST_LEVELS 256
/* Not CUDA's: arguments that contradict the limits of this file. */
#define FRUGAL_CUDA_BAD_ARGUMENT (-1)
/* Not CUDA's: a pointer that should be device memory is not, or lies on another device. */
#define FRUGAL_CUDA_NOT_ON_DEVICE (-2)

#ifdef __cplusplus
extern "C" {
#endif

/* How scales are chosen at the first touch of a grid block (grid/scale_search.h). */
enum FrugalCudaFit {
  FRUGAL_CUDA_FIT_NONE = 0,  /* scales are given */
  FRUGAL_CUDA_FIT_SCALE = 1, /* one fp16 scale: search_scale */
  FRUGAL_CUDA_FIT_ZERO = 2   /* fp16 scale and u8 zero point: search_scale_and_zero */
};

/* What the device can read itself of a block's stored parameters; of other grids the host expands
 * them (Grid::expand). */
enum FrugalCudaStore {
  FRUGAL_CUDA_STORE_EXPANDED = 0, /* `scales`, `offsets` and `groups` are given */
  FRUGAL_CUDA_STORE_SCALE = 1,    /* fp16 scale: w = scale * level */
  FRUGAL_CUDA_STORE_ZERO = 2      /* fp16 scale, u8 zero point: w = scale * level - scale * zero */
};

/* One window of kernels/sweep.h. */
typedef struct FrugalCudaSweep {
  int64_t rows;
  int32_t width;         /* <= FRUGAL_CUDA_LARGEST_WINDOW */
  int32_t block_columns; /* of the grid */
  int32_t parameter_bytes;
  int32_t store;          /* FrugalCudaStore */
  int32_t fit;            /* FrugalCudaFit; needs the store of the same name */
  int32_t plain_absolute; /* FIT_SCALE: the plain scale is |largest| / divisor, else signed */
  float plain_divisor;
  int32_t uniform; /* levels are low, low + 1, ... */
  int32_t level_count;
  const float* levels;    /* [level_count] ascending */
  const int32_t* columns; /* [width] */
  const int32_t* groups;  /* [width] < 65536, entry of `scales` of each position; or null */

  const float* weights; /* device [rows, width] */
  int64_t weights_stride;
  const float* factor; /* device [width, width], upper */
  int64_t factor_stride;
  const float* importance; /* device [matrix columns], or null */
  const float* scales;     /* device [rows, groups], or null */
  const float* offsets;
  int64_t groups_stride;
  uint8_t* codes; /* device, out */
  int64_t codes_stride;
  uint8_t* parameters; /* device; out with fit, else in where the store is read */
  int64_t parameters_stride;
  float* errors; /* device, out */
  int64_t errors_stride;
  double* row_loss; /* device, added to; or null */
} FrugalCudaSweep;

/* Where codes lie in a packed block, behind its parameters. */
enum FrugalCudaLayout {
  FRUGAL_CUDA_NIBBLE_HALVES = 0, /* code j low and j + span / 2 high, in spans (ggml) */
  FRUGAL_CUDA_NIBBLE_PAIRS = 1,  /* code 2 j low and 2 j + 1 high (ONNX) */
  FRUGAL_CUDA_BYTES = 2,         /* the code */
  FRUGAL_CUDA_SIGNED_BYTES = 3   /* code - 128 as i8 */
};

/* Codes and parameters of whole rows to packed blocks [rows, blocks, block_bytes]. */
typedef struct FrugalCudaPack {
  int64_t rows;
  int64_t blocks; /* of a row */
  int32_t block_columns;
  int32_t parameter_bytes;
  int32_t block_bytes;
  int32_t layout;            /* FrugalCudaLayout */
  int32_t span;              /* of FRUGAL_CUDA_NIBBLE_HALVES */
  const uint8_t* codes;      /* device [rows, blocks * block_columns] */
  const uint8_t* parameters; /* device [rows, blocks * parameter_bytes] */
  uint8_t* packed;           /* device, out */
} FrugalCudaPack;

/* `rows` pieces of `row_bytes` between host and device or inside the device; complete on return. */
typedef struct FrugalCudaCopy {
  void* to;
  size_t to_stride_bytes;
  const void* from;
  size_t from_stride_bytes;
  size_t row_bytes;
  size_t rows;
} FrugalCudaCopy;

typedef struct FrugalCudaModule {
  uint32_t abi;      /* FRUGAL_CUDA_ABI of the module; stays first for ever */
  uint32_t bytes;    /* sizeof(FrugalCudaModule) of the module */
  const char* build; /* "CUDA 13.0, sm_80 sm_90 ptx_90" */
  int (*device_count)(int* count);
  const char* (*error_text)(int code);
  int (*allocate)(void** device, size_t bytes); /* on the current device */
  int (*release)(void* device);
  int (*copy)(const FrugalCudaCopy* copy);
  int (*synchronize)(void); /* waits, and reports what failed since */
  int (*sweep)(const FrugalCudaSweep* sweep);
  int (*pack)(const FrugalCudaPack* pack);
} FrugalCudaModule;

/* The module's only symbol. */
typedef const FrugalCudaModule* (*FrugalCudaModuleFunction)(void);
#define FRUGAL_CUDA_MODULE_SYMBOL "frugal_cuda_module"

#ifdef __cplusplus
}
#endif
