// abi: what the host offers and what it calls (proxy-wasm 0.2.1), by hand and no more of it than is used.
#ifndef ABI_H
#define ABI_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifdef __wasm__
#define HOST(name) __attribute__((import_module("env"), import_name(#name))) extern u32 name
#define EXPORT(name) __attribute__((export_name(#name))) name
#else
#define HOST(name) extern u32 name
#define EXPORT(name) name
#endif

enum { OK = 0 };                                       // of every host call
enum { LOG_ERROR = 4 };
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, CALL_HEADERS = 6 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1, CALL_BODY = 4, PLUGIN_CONFIGURATION = 7 };
enum { REQUEST_STREAM = 0, RESPONSE_STREAM = 1 };
// What an entry point for headers, a body or trailers gives back. STOP holds headers until the body is there (the
// plugin has to be allowed to: `allow_on_headers_stop_iteration`), or buffers a body. WATERMARK holds a piece of an
// answer, and further ones come alone.
enum { CONTINUE = 0, STOP = 1, WATERMARK = 2 };
// Of headers, too: holds them and buffers the body, which does not get to the filter before it lets them go.
enum { HOLD_ALL = 3 };

HOST(proxy_log)(u32 level, const u8 *message, u32 size);
HOST(proxy_get_current_time_nanoseconds)(u64 *time);
HOST(proxy_get_property)(const u8 *path, u32 path_size, const u8 **value, u32 *size);
HOST(proxy_set_property)(const u8 *path, u32 path_size, const u8 *value, u32 size);
HOST(proxy_get_buffer_bytes)(u32 type, u32 start, u32 length, const u8 **bytes, u32 *size);
HOST(proxy_set_buffer_bytes)(u32 type, u32 start, u32 length, const u8 *bytes, u32 size);
HOST(proxy_get_header_map_pairs)(u32 type, const u8 **pairs, u32 *size);
HOST(proxy_add_header_map_value)(u32 type, const u8 *name, u32 name_size, const u8 *value, u32 size);
HOST(proxy_remove_header_map_value)(u32 type, const u8 *name, u32 name_size);
HOST(proxy_send_local_response)(u32 status, const u8 *details, u32 details_size, const u8 *body, u32 body_size,
                                const u8 *headers, u32 headers_size, u32 grpc_status);
HOST(proxy_http_call)(const u8 *cluster, u32 cluster_size, const u8 *headers, u32 headers_size, const u8 *body,
                      u32 body_size, const u8 *trailers, u32 trailers_size, u32 timeout_ms, u32 *token);
HOST(proxy_continue_stream)(u32 type);
HOST(proxy_set_effective_context)(u32 context);
HOST(proxy_set_tick_period_milliseconds)(u32 period);
HOST(proxy_get_shared_data)(const u8 *key, u32 key_size, const u8 **value, u32 *size, u32 *cas);
HOST(proxy_set_shared_data)(const u8 *key, u32 key_size, const u8 *value, u32 size, u32 cas);
HOST(proxy_register_shared_queue)(const u8 *name, u32 size, u32 *queue);
HOST(proxy_enqueue_shared_queue)(u32 queue, const u8 *message, u32 size);
HOST(proxy_dequeue_shared_queue)(u32 queue, const u8 **message, u32 *size);

#endif
