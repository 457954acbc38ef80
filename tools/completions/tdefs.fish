# SPDX-License-Identifier: Apache-2.0
# fish completion of tdefs, tdefsctl and tdefs-vault: the program itself says what may follow
# (src/completion.h).

function __tdefs_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    for line in ($program --complete $words "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :dirs
                __fish_complete_directories "$current"
            case '*'
                echo $line
        end
    end
end

for program in tdefs tdefsctl tdefs-vault
    complete -c $program -f -a '(__tdefs_complete)'
end
