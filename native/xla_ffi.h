// The few structs of XLA's foreign function interface that a handler touches: its plain C interface, version 0.1.
//
// XLA promises that every struct begins with its size and grows at its end alone, so a handler that reads these fields
// needs no header of jaxlib's (hundreds of megabytes) to be built. After xla/ffi/api/c_api.h of OpenXLA (Apache 2.0);
// a test holds the offsets against jaxlib's own header where a compiler is at hand.
#pragma once
#include <cstddef>
#include <cstdint>

namespace statecast {
namespace xla {

struct Error;
struct Extension {
  size_t struct_size;
  int type;  // 1: the runtime asks for metadata
  Extension* next;
};
struct Version {
  size_t struct_size;
  Extension* extension;
  int major, minor;
};
struct Metadata {
  size_t struct_size;
  Version version;
  uint32_t traits;
};
struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};
struct ErrorCreate {
  size_t struct_size;
  Extension* extension;
  const char* message;
  int code;
};
struct ErrorDestroy {
  size_t struct_size;
  Extension* extension;
  Error* error;
};
struct Schedule {
  size_t struct_size;
  Extension* extension;
  void* context;
  void (*task)(void*);
  void* data;
};
struct Api {
  size_t struct_size;
  Extension* extension;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorCreate*);
  void* between1;
  void (*destroy_error)(ErrorDestroy*);
  void* between2[8];
  Error* (*schedule)(Schedule*);
};
enum Type { kBool = 1, kInt32 = 4, kInt64 = 5, kByte = 6, kFloat = 11, kDouble = 12 };
struct Buffer {
  size_t struct_size;
  Extension* extension;
  int dtype;
  void* data;
  int64_t rank;
  int64_t* dims;
};
struct Arrays {  // arguments, and results
  size_t struct_size;
  Extension* extension;
  int64_t size;
  int* types;
  Buffer** buffers;
};
struct Span {
  const char* text;
  size_t length;
};
struct Scalar {
  int dtype;
  void* value;
};
struct Attributes {
  size_t struct_size;
  Extension* extension;
  int64_t size;
  int* types;
  Span** names;
  void** values;
};
struct CallFrame {
  size_t struct_size;
  Extension* extension;
  const Api* api;
  void* context;
  int stage;
  Arrays arguments, results;
  Attributes attributes;
};

}  // namespace xla
}  // namespace statecast
