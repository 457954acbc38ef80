/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers of the primitives, and what our own derivations promise. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "tdefs/crypto.h"
#include "tdefs/rsa.h"
#include "tdefs/sector_cipher.h"

static size_t unhex(const char *text, uint8_t *out)
{
	size_t len = strlen(text) / 2;

	assert_true(hex_decode(text, out, len));
	return len;
}

static struct secret *secret_of(const uint8_t *bytes, size_t len)
{
	struct secret *s = secret_new(len);

	assert_non_null(s);
	memcpy(secret_bytes(s), bytes, len);
	return s;
}

static struct secret *secret_of_file(const char *name)
{
	char path[512];
	struct stat st;
	struct secret *s;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", TDEFS_VECTORS, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	s = secret_new((size_t)st.st_size);
	assert_non_null(s);
	assert_int_equal(read(fd, secret_bytes(s), (size_t)st.st_size), st.st_size);
	close(fd);
	return s;
}

/* FIPS 180-4, "abc". */
static void sha256_known_answer(void **state)
{
	uint8_t expect[32], digest[32];

	(void)state;
	unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", expect);
	assert_int_equal(sha256("abc", 3, digest), 0);
	assert_memory_equal(digest, expect, 32);
}

/* RFC 4231, test case 2. */
static void hmac_known_answer(void **state)
{
	struct secret *key = secret_of((const uint8_t *)"Jefe", 4);
	uint8_t expect[32], mac[32];

	(void)state;
	unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", expect);
	assert_int_equal(hmac_sha256(key, "what do ya want for nothing?", 28, mac), 0);
	assert_memory_equal(mac, expect, 32);
	secret_free(key);
}

/* RFC 5869, appendix A, test cases 1 to 3 (SHA-256). */
static void hkdf_known_answers(void **state)
{
	static const struct {
		const char *ikm, *salt, *info, *okm;
	} cases[] = {
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		  "f0f1f2f3f4f5f6f7f8f9",
		  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
		  "34007208d5b887185865" },
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
		  "404142434445464748494a4b4c4d4e4f",
		  "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
		  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		  "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		  "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
		  "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
		  "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
		  "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
		  "cc30c58179ec3e87c14c01d5c1f3434f1d87" },
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
		  "9d201395faa4b61a96c8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t ikm[128], salt[128], info[128], expect[128], okm[128];
		size_t ikm_len = unhex(cases[i].ikm, ikm), salt_len = unhex(cases[i].salt, salt);
		size_t info_len = unhex(cases[i].info, info), len = unhex(cases[i].okm, expect);

		assert_int_equal(
			hkdf_sha256(ikm, ikm_len, salt, salt_len, info, info_len, okm, len), 0);
		assert_memory_equal(okm, expect, len);
	}
}

/* IEEE 1619-2018, annex B, vectors 10 and 11 (AES-256): data units 0xff and 0xffff. */
static const struct {
	uint64_t data_unit;
	const char *ciphertext;
} xts_vectors[] = {
	{ 0xff, "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"
		"5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"
		"5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0"
		"c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca"
		"2a3e7a7d7df7b10355165c8b9a6d0a7de8b062c4500dc4cd120c0f7418dae3d0"
		"b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f"
		"93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec"
		"583e9645e07b8d9670655ba5bbcfecc6dc3966380ad8fecb17b6ba02469a020a"
		"84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1"
		"505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae"
		"9be69a2ffeceb1bec9de244fbe15992b11b77c040f12bd8f6a975a44a0f90c29"
		"a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac"
		"6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f"
		"645e8b7e9bfdef33943054ff84011493c27b3429eaedb4ed5376441a77ed4385"
		"1ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa"
		"773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151" },
	{ 0xffff, "77a31251618a15e6b92d1d66dffe7b50b50bad552305ba0217a610688eff7e11"
		  "e1d0225438e093242d6db274fde801d4cae06f2092c728b2478559df58e837c2"
		  "469ee4a4fa794e4bbc7f39bc026e3cb72c33b0888f25b4acf56a2a9804f1ce6d"
		  "3d6e1dc6ca181d4b546179d55544aa7760c40d06741539c7e3cd9d2f6650b201"
		  "3fd0eeb8c2b8e3d8d240ccae2d4c98320a7442e1c8d75a42d6e6cfa4c2eca179"
		  "8d158c7aecdf82490f24bb9b38e108bcda12c3faf9a21141c3613b58367f922a"
		  "aa26cd22f23d708dae699ad7cb40a8ad0b6e2784973dcb605684c08b8d6998c6"
		  "9aac049921871ebb65301a4619ca80ecb485a31d744223ce8ddc2394828d6a80"
		  "470c092f5ba413c3378fa6054255c6f9df4495862bbb3287681f931b687c888a"
		  "bf844dfc8fc28331e579928cd12bd2390ae123cf03818d14dedde5c0c24c8ab0"
		  "18bfca75ca096f2d531f3d1619e785f1ada437cab92e980558b3dce1474afb75"
		  "bfedbf8ff54cb2618e0244c9ac0d3c66fb51598cd2db11f9be39791abe447c63"
		  "094f7c453b7ff87cb5bb36b7c79efb0872d17058b83b15ab0866ad8a58656c5a"
		  "7e20dbdf308b2461d97c0ec0024a2715055249cf3b478ddd4740de654f75ca68"
		  "6e0d7345c69ed50cdc2a8b332b1f8824108ac937eb050585608ee734097fc090"
		  "54fbff89eeaeea791f4a7ab1f9868294a4f9e27b42af8100cb9d59cef9645803" },
};

static struct secret *xts_key(void)
{
	uint8_t key[64];

	unhex("2718281828459045235360287471352662497757247093699959574966967627"
	      "3141592653589793238462643383279502884197169399375105820974944592",
	      key);
	return secret_of(key, sizeof(key));
}

static void xts_known_answers(void **state)
{
	struct secret *key = xts_key();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(xts_vectors); i++) {
		uint8_t plain[512], expect[512], out[512];
		uint64_t off = xts_vectors[i].data_unit * SECTOR_LEN;
		struct sector_cipher c;

		for (size_t j = 0; j < sizeof(plain); j++)
			plain[j] = (uint8_t)j;
		unhex(xts_vectors[i].ciphertext, expect);
		assert_int_equal(sector_cipher_begin(&c, key, SECTOR_ENCRYPT), 0);
		assert_int_equal(sector_cipher_run(&c, off, plain, out, sizeof(out)), 0);
		assert_memory_equal(out, expect, sizeof(out));
		sector_cipher_end(&c);
		assert_int_equal(sector_cipher_begin(&c, key, SECTOR_DECRYPT), 0);
		assert_int_equal(sector_cipher_run(&c, off, expect, out, sizeof(out)), 0);
		assert_memory_equal(out, plain, sizeof(out));
		sector_cipher_end(&c);
	}
	secret_free(key);
}

/* Any run of blocks, encrypted by itself, is what it is within the whole. */
static void parts_of_sectors_fit_the_whole(void **state)
{
	static uint8_t plain[3 * SECTOR_LEN], whole[3 * SECTOR_LEN], part[3 * SECTOR_LEN];
	struct secret *key = xts_key();
	struct sector_cipher enc, dec;

	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 31 + i / 255);
	assert_int_equal(sector_cipher_begin(&enc, key, SECTOR_ENCRYPT), 0);
	assert_int_equal(sector_cipher_begin(&dec, key, SECTOR_DECRYPT), 0);
	assert_int_equal(sector_cipher_run(&enc, 0, plain, whole, sizeof(whole)), 0);
	for (size_t off = 0; off < 2 * SECTOR_LEN; off += 240) {
		for (size_t len = 16; off + len <= sizeof(plain); len = len * 3 + 16) {
			assert_int_equal(sector_cipher_run(&enc, off, plain + off, part, len), 0);
			assert_memory_equal(part, whole + off, len);
			assert_int_equal(sector_cipher_run(&dec, off, part, part, len), 0);
			assert_memory_equal(part, plain + off, len);
		}
	}
	sector_cipher_end(&enc);
	sector_cipher_end(&dec);
	secret_free(key);
}

static void zero_blocks_decrypt_to_zeros(void **state)
{
	static uint8_t plain[2 * SECTOR_LEN], cipher[2 * SECTOR_LEN];
	static const size_t holes[] = { 0, 3, 255, 256, 300, 511 };
	struct secret *key = xts_key();
	struct sector_cipher c;

	(void)state;
	memset(plain, 0x5a, sizeof(plain));
	assert_int_equal(sector_cipher_begin(&c, key, SECTOR_ENCRYPT), 0);
	assert_int_equal(sector_cipher_run(&c, 0, plain, cipher, sizeof(cipher)), 0);
	sector_cipher_end(&c);
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		memset(cipher + holes[i] * 16, 0, 16);
		memset(plain + holes[i] * 16, 0, 16);
	}
	assert_int_equal(sector_cipher_begin(&c, key, SECTOR_DECRYPT), 0);
	assert_int_equal(sector_cipher_run(&c, 0, cipher, cipher, sizeof(cipher)), 0);
	assert_memory_equal(cipher, plain, sizeof(plain));
	assert_int_equal(sector_cipher_run(&c, 48, (const uint8_t[16]){ 0 }, cipher, 16), 0);
	assert_true(bytes_all_zero(cipher, 16));
	sector_cipher_end(&c);
	secret_free(key);
}

static void cipher_refuses_a_short_key(void **state)
{
	struct secret *key = secret_of((const uint8_t *)"short", 5);
	struct sector_cipher c;

	(void)state;
	assert_int_equal(sector_cipher_begin(&c, key, SECTOR_ENCRYPT), -EIO);
	sector_cipher_end(&c);
	secret_free(key);
}

/* RFC 7638, section 3.1; once more with leading zero bytes, as some vaults send them. */
static void thumbprint_known_answer(void **state)
{
	static const char n_hex[] =
		"d2fc7b6a0a1e6c67104aeb8f88b257669b4df679ddad099b5c4a6cd9a88015b5"
		"a133bf0b856c7871b6df000b554fceb3c2ed512bb68f145c6e8434752fab52a1"
		"cfc124408f79b58a4578c16428855789f7a249e384cb2d9fae2d67fd96fb926c"
		"198e077399fdc815c0af097dde5aadeff44de70e827f4878432439bfeeb96068"
		"d0474fc50d6d90bf3a98dfaf1040c89c02d692ab3b3c2896609d86fd73b774ce"
		"0740647ceeeaa310bd12f985a8eb9f59fdd426cea5b2120f4f2a34bcab764b7e"
		"6c54d6840238bcc40587a59e66ed1f33894577635c470af75cf92c20d1da43e1"
		"bfc419e222a6f0d0bb358c5e38f9cb050aeafe904814f1ac1aa49cca9ea0ca83";
	uint8_t n[300] = { 0 }, e[] = { 0, 1, 0, 1 }, expect[32], print[32];
	size_t len = unhex(n_hex, n + 2);

	(void)state;
	/* NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs */
	unhex("3736cbb1787cb8309c77ee8c3705c5e16ffb9e859715901f1e4c59b11182f57b", expect);
	assert_int_equal(jwk_thumbprint(n + 2, len, e + 1, 3, print), 0);
	assert_memory_equal(print, expect, 32);
	assert_int_equal(jwk_thumbprint(n, len + 2, e, 4, print), 0);
	assert_memory_equal(print, expect, 32);
	assert_int_equal(jwk_thumbprint(n, 2000, e, 3, print), -EINVAL);
}

/* RSA-OAEP-256: project Wycheproof, rsa_oaep_2048_sha256_mgf1sha256_test, case 7. */
static void oaep_known_answer(void **state)
{
	static const char ciphertext[] =
		"096958786ee7972050d67a9e4b69d6c6af7db7cc674386df725770dd29129b82"
		"6e39552330104c8d71e6cc3a3014dd2f61b54153af51b0438d447ee939f9e3c1"
		"3bb8b00a37dea6a068f6c9d27e848b1be7a1eeeb3ee50b78036fba95ae46948c"
		"a5b13f356ea24db10f60dc09e4b8bad8f766b668ef72524432080a0ce00ed676"
		"d6d5e354984b1078520412525848156d06f0652469f95791baa3d9a798ae5370"
		"94f76f976faecd5c9ce0c930a75910c63dacf63485cb4b5e7bdbcf4d80e74037"
		"eaa1a8fe4b52930bec6be99cf6ac88cf5878dbf6859d456a95dbc34654eec425"
		"de84ca2a535d517403a9aada827e7d0093ecfc97ed056a7652825e9a45cb2dcb";
	struct secret *pem = secret_of_file("oaep_key.pem"), *plain = NULL;
	uint8_t wrapped[RSA_WRAPPED_MAX], expect[32];
	size_t len = unhex(ciphertext, wrapped);
	struct rsa_key *key = NULL;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		expect[i] = (uint8_t)(0xe0 + i);
	assert_int_equal(rsa_key_from_pem(pem, &key), 0);
	assert_int_equal(rsa_key_bits(key), 2048);
	assert_int_equal(rsa_unwrap(key, WRAP_RSA_OAEP_256, wrapped, len, &plain), 0);
	assert_int_equal(secret_len(plain), 32);
	assert_memory_equal(secret_view(plain), expect, 32);
	secret_free(plain);
	plain = NULL;
	assert_int_equal(rsa_unwrap(key, WRAP_RSA_OAEP, wrapped, len, &plain), -EKEYREJECTED);
	wrapped[len - 1] ^= 1;
	assert_int_equal(rsa_unwrap(key, WRAP_RSA_OAEP_256, wrapped, len, &plain), -EKEYREJECTED);
	assert_int_equal(rsa_unwrap(key, WRAP_RSA_OAEP_256, wrapped, 5, &plain), -EKEYREJECTED);
	assert_null(plain);
	rsa_key_free(key);
	secret_free(pem);
}

static void wrap_then_unwrap_gives_it_back(void **state)
{
	struct secret *pem = secret_of_file("oaep_key.pem"), *dek = NULL, *back = NULL;
	uint8_t first[RSA_WRAPPED_MAX], second[RSA_WRAPPED_MAX];
	struct rsa_key *key = NULL;
	size_t len;

	(void)state;
	assert_int_equal(rsa_key_from_pem(pem, &key), 0);
	assert_int_equal(dek_generate(&dek), 0);
	assert_int_equal(rsa_wrap(key, dek, first, &len), 0);
	assert_int_equal(len, 256);
	assert_int_equal(rsa_wrap(key, dek, second, &len), 0);
	assert_memory_not_equal(first, second, len); /* OAEP is randomised */
	assert_int_equal(rsa_unwrap(key, WRAP_RSA_OAEP_256, second, len, &back), 0);
	assert_memory_equal(secret_view(back), secret_view(dek), DEK_LEN);
	secret_free(back);
	secret_free(dek);
	rsa_key_free(key);
	secret_free(pem);
}

static void pem_errors_are_told_apart(void **state)
{
	struct secret *not_pem = secret_of((const uint8_t *)"hello", 5);
	struct secret *ec = secret_of_file("ec_key.pem");
	struct secret *locked = secret_of_file("locked_key.pem");
	struct rsa_key *key = NULL;

	(void)state;
	assert_int_equal(rsa_key_from_pem(not_pem, &key), -EINVAL);
	assert_int_equal(rsa_key_from_pem(ec, &key), -EKEYREJECTED);
	assert_int_equal(rsa_key_from_pem(locked, &key), -EACCES);
	assert_null(key);
	rsa_key_free(NULL);
	secret_free(not_pem);
	secret_free(ec);
	secret_free(locked);
}

/* Derivations as FORMAT.md fixes them, spelled out with HKDF alone. */
static void derivations_follow_the_format(void **state)
{
	uint8_t id[16], expect[64], nonce[32], info[48] = "tdefs file-key v1",
					       purpose[32] = "dek-id";
	struct secret *dek = NULL, *key = NULL;

	(void)state;
	memset(nonce, 0x11, sizeof(nonce));
	assert_int_equal(dek_generate(&dek), 0);
	assert_int_equal(dek_id(dek, id), 0);
	assert_int_equal(hkdf_sha256(secret_view(dek), 32, NULL, 0, purpose, 32, expect, 16), 0);
	assert_memory_equal(id, expect, 16);
	memcpy(info + 32, id, 16);
	assert_int_equal(hkdf_sha256(secret_view(dek), 32, nonce, 32, info, 48, expect, 64), 0);
	assert_int_equal(derive_file_key(dek, id, nonce, &key), 0);
	assert_memory_equal(secret_view(key), expect, 64);
	assert_memory_not_equal(expect, expect + 32, 32);
	secret_free(key);
	memset(purpose, 0, 32);
	strcpy((char *)purpose, "tdefs file-header v1");
	assert_int_equal(hkdf_sha256(secret_view(dek), 32, nonce, 32, purpose, 32, expect, 32), 0);
	assert_int_equal(derive_file_header_key(dek, nonce, &key), 0);
	assert_memory_equal(secret_view(key), expect, 32);
	secret_free(key);
	memset(purpose, 0, 32);
	strcpy((char *)purpose, "tdefs volume-header v1");
	assert_int_equal(hkdf_sha256(secret_view(dek), 32, nonce, 16, purpose, 32, expect, 32), 0);
	assert_int_equal(derive_volume_header_key(dek, nonce, &key), 0);
	assert_memory_equal(secret_view(key), expect, 32);
	secret_free(key);
	secret_free(dek);
}

static void randomness_and_comparison(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	assert_int_equal(random_bytes(a, 32), 0);
	assert_int_equal(random_bytes(b, 32), 0);
	assert_false(constant_time_equal(a, b, 32));
	memcpy(b, a, 32);
	assert_true(constant_time_equal(a, b, 32));
	b[31] ^= 1;
	assert_false(constant_time_equal(a, b, 32));
}

static int teardown(void **state)
{
	(void)state;
	return secret_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_known_answer),
		cmocka_unit_test(hmac_known_answer),
		cmocka_unit_test(hkdf_known_answers),
		cmocka_unit_test(xts_known_answers),
		cmocka_unit_test(parts_of_sectors_fit_the_whole),
		cmocka_unit_test(zero_blocks_decrypt_to_zeros),
		cmocka_unit_test(cipher_refuses_a_short_key),
		cmocka_unit_test(thumbprint_known_answer),
		cmocka_unit_test(oaep_known_answer),
		cmocka_unit_test(wrap_then_unwrap_gives_it_back),
		cmocka_unit_test(pem_errors_are_told_apart),
		cmocka_unit_test(derivations_follow_the_format),
		cmocka_unit_test(randomness_and_comparison),
	};

	return cmocka_run_group_tests_name("crypto", tests, NULL, teardown);
}
