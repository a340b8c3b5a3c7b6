// What Debian's libcurl.a calls of libraries that this project does not carry: Kerberos, of which Debian has no archive,
// LDAP, RTMP and SSH. Each of them fails, so that a URL of such a scheme, or such a way to log in, is refused.
#include <stddef.h>

// Whatever the declaration in libcurl's eyes: arguments are ignored, and a result is an integer or a pointer.
#define RETURNS(name, value) long name(void) { return value; }

// GSS_S_FAILURE.
#define GSS(name) RETURNS(gss_##name, 13L << 16)
GSS(delete_sec_context) GSS(display_name) GSS(display_status) GSS(import_name) GSS(init_sec_context)
GSS(inquire_context) GSS(release_buffer) GSS(release_name) GSS(unwrap) GSS(wrap)
const void* const GSS_C_NT_HOSTBASED_SERVICE = NULL;

#define LDAP(name) RETURNS(ldap_##name, -1)
LDAP(abandon_ext) LDAP(get_attribute_ber) LDAP(get_dn_ber) LDAP(get_option) LDAP(init_fd) LDAP(msgtype)
LDAP(parse_result) LDAP(parse_sasl_bind_result) LDAP(pvt_url_scheme2proto) LDAP(result) LDAP(sasl_bind)
LDAP(search_ext) LDAP(set_option) LDAP(start_tls) LDAP(unbind_ext) LDAP(url_parse)
#define LDAP_NOTHING(name) RETURNS(ldap_##name, 0)
LDAP_NOTHING(free_urldesc) LDAP_NOTHING(memfree) LDAP_NOTHING(msgfree)
#define BER(name) RETURNS(ber_##name, -1)
BER(bvfree) BER(free) BER(memfree) BER(memvfree) BER(sockbuf_add_io)
const char* ldap_err2string(int code) { return "LDAP is not built in"; }

#define RTMP(name) RETURNS(RTMP_##name, 0)
RTMP(Alloc) RTMP(Close) RTMP(Connect1) RTMP(ConnectStream) RTMP(Free) RTMP(Init) RTMP(Read) RTMP(SetBufferMS)
RTMP(SetupURL) RTMP(Write)

// Zero is success for libssh2_init, without which libcurl does not start, and no session for libssh2_session_init_ex.
#define SSH(name) RETURNS(libssh2_##name, 0)
SSH(agent_connect) SSH(agent_disconnect) SSH(agent_free) SSH(agent_get_identity) SSH(agent_init)
SSH(agent_list_identities) SSH(agent_userauth) SSH(channel_free) SSH(channel_read_ex) SSH(channel_send_eof)
SSH(channel_wait_closed) SSH(channel_wait_eof) SSH(channel_write_ex) SSH(exit) SSH(hostkey_hash) SSH(init)
SSH(knownhost_add) SSH(knownhost_checkp) SSH(knownhost_del) SSH(knownhost_free) SSH(knownhost_get) SSH(knownhost_init)
SSH(knownhost_readfile) SSH(knownhost_writefile) SSH(scp_recv2) SSH(scp_send64) SSH(session_abstract)
SSH(session_block_directions) SSH(session_callback_set) SSH(session_disconnect_ex) SSH(session_flag) SSH(session_free)
SSH(session_handshake) SSH(session_hostkey) SSH(session_init_ex) SSH(session_last_errno) SSH(session_last_error)
SSH(session_method_pref) SSH(session_set_blocking) SSH(sftp_close_handle) SSH(sftp_init) SSH(sftp_last_error)
SSH(sftp_mkdir_ex) SSH(sftp_open_ex) SSH(sftp_read) SSH(sftp_readdir_ex) SSH(sftp_rename_ex) SSH(sftp_rmdir_ex)
SSH(sftp_seek64) SSH(sftp_shutdown) SSH(sftp_stat_ex) SSH(sftp_statvfs) SSH(sftp_symlink_ex) SSH(sftp_unlink_ex)
SSH(sftp_write) SSH(userauth_authenticated) SSH(userauth_keyboard_interactive_ex) SSH(userauth_list)
SSH(userauth_password_ex) SSH(userauth_publickey_fromfile_ex)
const char* libssh2_version(int at_least) { return "absent"; }
