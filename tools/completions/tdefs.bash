# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion of tdefs, tdefsctl and tdefs-vault: the program itself says what may follow
# (src/completion.h).

_tdefs_complete()
{
	local -a words=()
	local i word line current before glue=''

	# bash takes "--config=F" and "https://V" apart at '=' and ':'.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((${#words[@]})) && [[ -n $glue || $word == [:=] ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		[[ $word == [:=] ]] && glue=yes || glue=''
	done
	current=${words[-1]}
	before=${current%"${current##*[:=]}"}
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files | :dirs)
			compopt -o filenames 2>/dev/null
			word=-f
			[[ $line == :dirs ]] && word=-d
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$word" -- "${current#"$before"}")
			;;
		*)
			line=${line%%$'\t'*}
			COMPREPLY+=("${line#"$before"}")
			;;
		esac
	done < <("$1" --complete "${words[@]}" 2>/dev/null)
}
complete -F _tdefs_complete tdefs tdefsctl tdefs-vault
